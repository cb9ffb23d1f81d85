"""`infergate up` without a configuration: look for engines on this machine, else run the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infergate.files import write_atomically
from infergate.health.local import USUAL_PORTS, find_local_engines
from infergate.paths import Home
from infergate.state_folder import GENERATED_NAME
from infergate.supervise.ports import is_free

_GATEWAY_PORTS = (8080, 8088, 8888, 9080, 18080)
_DEMO_PORTS = range(8190, 8290)


@dataclass(frozen=True)
class Found:
    """A configuration for what runs on this machine, and what to tell about it."""

    path: Path
    explanation: str
    demo_port: int | None


async def configuration_for_this_machine(home: Home) -> Found:
    """Write a configuration for the engines that answer on their usual ports.

    It listens on loopback only: nobody has asked yet to be reached from elsewhere.
    """
    engines = await find_local_engines()
    demo_port = None
    if engines:
        backends = {
            f"{engine.kind}-{engine.port}": (f"http://127.0.0.1:{engine.port}", engine.kind)
            for engine in engines
        }
        names = ", ".join(f"{engine.kind} on port {engine.port}" for engine in engines)
        explanation = f"No infergate.yaml here. Found on this machine: {names}."
    else:
        demo_port = next(port for port in _DEMO_PORTS if is_free(port))
        backends = {"demo": (f"http://127.0.0.1:{demo_port}", "openai")}
        ports = ", ".join(str(port) for port in USUAL_PORTS)
        explanation = (
            "No infergate.yaml here, and no inference engine on this machine's usual ports\n"
            f"({ports}).\n"
            "Starting the built-in demo backend: it is no model, it only echoes what you say."
        )
    gateway_port = next(port for port in _GATEWAY_PORTS if is_free(port))
    lines = [
        "# Written by `infergate up`, which found no infergate.yaml. Overwritten by the next one;",
        "# copy it to infergate.yaml to keep it.",
        f"listen: {{ http: 127.0.0.1:{gateway_port} }}",
        "backends:",
        *(f"  {name}: {{ url: {url}, engine: {kind} }}" for name, (url, kind) in backends.items()),
    ]
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = home.root / GENERATED_NAME
    write_atomically(path, "\n".join(lines) + "\n")
    return Found(path, explanation, demo_port)
