"""What is compared: Infergate with each of its ways to balance, nginx, vLLM's router and SGLang's.

Each has one worker or thread, keeps its connections, writes no log of requests (Infergate does),
and is told the engines' addresses and nothing else of them.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from bench.other_installs import SGLANG_ROUTER, VLLM_ROUTER, install
from bench.others import ONE_THREAD, PATIENCE_S, process, router_options
from bench.routing.replay import Target
from bench.systems import HEAD, Instance, nginx
from infergate.config.models import Balance
from infergate.engine.choose import Engine, find_engines
from infergate.engine.facts import dotted
from tests.backends.servers import free_port
from tests.cache import ENGINES_HOME

_LEAST_CONN = (
    HEAD
    + """
    upstream engines {{
        zone engines 1m;
        least_conn;
        {servers}
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_read_timeout 600s;
        }}
    }}
}}
"""
)


@dataclass(frozen=True)
class Engines:
    """Those behind a router. models: that they have; kind: as in Infergate's configuration.

    scale: of their clock: a router's intervals are so many times shorter, as far as it takes that.
    """

    urls: Sequence[str]
    models: Sequence[str]
    kind: str
    scale: float


@dataclass(frozen=True)
class Running:
    """A router that runs; looks: it asks engines whether they are well, before it uses them."""

    target: Target
    version: str
    looks: bool = True


Start = Callable[[Engines, Path], AbstractContextManager[Running]]


def infergate_engine() -> Engine:
    """The nginx that Infergate and least_conn both run on."""
    found = (each for each in find_engines(ENGINES_HOME) if each.usable)
    return next(each for each in found if each.origin in ("debian", "embedded"))


def _infergate(balance: str) -> Start:
    @contextmanager
    def start(engines: Engines, folder: Path) -> Iterator[Running]:
        backends = {
            f"e{at}": {"url": url, "engine": engines.kind} for at, url in enumerate(engines.urls)
        }
        models = {
            model: {"backends": list(backends), "balance": balance} for model in engines.models
        }
        every = engines.scale
        config = {
            "auth": {"required": False},
            "health": {
                "interval": f"{max(100, round(3000 / every))}ms",
                "slow_start": f"{round(30_000 / every)}ms",
                "hung_after": f"{round(60_000 / every)}ms",
            },
            "backends": backends,
            "models": models,
        }
        text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in config.items())
        it = Instance(infergate_engine(), folder / "infergate", text)
        with it.up():
            _await_models(it)
            version = importlib.metadata.version("infergate")
            yield Running(Target(f"http://127.0.0.1:{it.port}"), version)

    return start


def _await_models(it: Instance) -> None:
    """Returns when each backend was asked for its models; `up` does not wait for slow ones."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            backends = json.loads(it.run("status", "--json"))["backends"]
        except subprocess.CalledProcessError:
            backends = []  # one of them is not up yet
        if backends and all(each["models"] for each in backends):
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"Infergate did not find its backends: {backends}")
        time.sleep(0.5)


@contextmanager
def _least_conn(engines: Engines, folder: Path) -> Iterator[Running]:
    engine, port, below = infergate_engine(), free_port(), folder / "nginx"
    servers = " ".join(f"server {url.partition('://')[2]};" for url in engines.urls)
    text = _LEAST_CONN.format(folder=below, port=port, servers=servers)
    with nginx(engine, below, text):
        yield Running(Target(f"http://127.0.0.1:{port}"), dotted(engine.nginx_version), False)


def _router(name: str, version: str, policy: str, *subcommand: str) -> Start:
    @contextmanager
    def start(engines: Engines, folder: Path) -> Iterator[Running]:
        port, home = free_port(), install(name)
        every_s = str(max(1, round(60 / engines.scale)))
        command = (
            *(home / "bin" / name, *subcommand),
            *router_options(port, engines.urls, policy),
            *("--health-check-interval-secs", every_s),
        )
        with process(command, folder, ONE_THREAD):
            yield Running(Target(f"http://127.0.0.1:{port}"), version)

    return start


ROUTERS: dict[str, Start] = {
    **{f"infergate:{balance}": _infergate(balance) for balance in get_args(Balance)},
    "nginx:least_conn": _least_conn,
    **{
        f"vllm-router:{policy}": _router("vllm-router", VLLM_ROUTER, policy)
        for policy in ("cache_aware", "power_of_two", "consistent_hash")
    },
    **{
        f"sglang-router:{policy}": _router("sglang-router", SGLANG_ROUTER, policy, "launch")
        for policy in ("cache_aware", "power_of_two")
    },
}

USUAL = tuple(
    name
    for name in (
        "infergate:work",
        "infergate:prefix",
        "infergate:least_busy",
        "nginx:least_conn",
        "vllm-router:cache_aware",
        "sglang-router:cache_aware",
    )
    if name in ROUTERS
)
"""What is compared where nothing else is said: of each the policy that does best."""
