"""The conformance suite that any gateway can be put to, here put to ours: over TLS, with HTTP/2."""

from __future__ import annotations

from tests.backends.servers import free_port
from tests.conformance import Options, run, running
from tests.gateway import gateway

CONFIG = """
listen: {{ https: 127.0.0.1:{port} }}
tls: {{ self_signed: true, http2: true }}
backends:
  a: {{ url: http://127.0.0.1:{a}, engine: vllm }}
  b: {{ url: http://127.0.0.1:{b}, engine: vllm }}
models: {{ m: [a, b] }}
timeouts: {{ first_byte: 2s, idle: 2s }}
retries: {{ budget: 1 }}
breaker: {{ failures: 1000, error_rate: 1, cooldown: 100ms, max_cooldown: 100ms }}
health: {{ interval: 300ms, timeout: 300ms, rise: 1, fall: 2 }}
"""


def test_every_check_of_the_suite_passes(engine: str) -> None:
    ports = (free_port(), free_port())
    https = free_port()
    config = CONFIG.format(port=https, a=ports[0], b=ports[1])
    with running(ports) as backends, gateway(engine, config) as it:
        report = run(
            Options(
                url=f"https://127.0.0.1:{https}/v1",
                key=it.key,
                backend_ports=ports,
                # Two backends are waited for, one after the other.
                first_byte_timeout_s=4,
                idle_timeout_s=2,
                streams=500,
                insecure=True,
            ),
            backends=backends,
        )
    assert report.passed, "\n".join(map(str, report.failures))
