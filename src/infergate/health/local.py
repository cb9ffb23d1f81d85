"""Engines that already run on this machine, for a start without a configuration file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from infergate.health.ask import Answer, Client, NoAnswer, OurFault, Target, get, make_client
from infergate.health.engines import Kind
from infergate.health.inventory import Inventory
from infergate.health.probe import identify, list_models

USUAL_PORTS = (11434, 8000, 8080, 8081, 1234, 30000)
"""Ollama; vLLM, Ray Serve and SGLang's examples; llama.cpp, twice; LM Studio; SGLang."""

SEARCH_S = 1.2
"""The whole search ends within this; an engine on this machine answers in milliseconds."""

PER_REQUEST_S = 0.4
"""One request of the search; at most five follow one another, and most ports refuse at once."""


@dataclass(frozen=True)
class FoundEngine:
    """An engine on this machine. models: the names of what it has."""

    port: int
    kind: Kind
    models: tuple[str, ...]


async def find_local_engines(
    ports: tuple[int, ...] = USUAL_PORTS, host: str = "127.0.0.1"
) -> list[FoundEngine]:
    """What answers as an engine on these ports, in their order, in less than 1.5 seconds.

    Other web servers are left out, and so is Infergate's own gateway, which tells itself by the
    header x-infergate of GET /healthz.
    """
    client = make_client(verify_tls=False)
    searches = [asyncio.create_task(_look_at(client, host, port)) for port in dict.fromkeys(ports)]
    if not searches:
        return []
    done, late = await asyncio.wait(searches, timeout=SEARCH_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    found = (task.result() for task in searches if task in done)
    return [engine for engine in found if engine is not None]


async def _look_at(client: Client, host: str, port: int) -> FoundEngine | None:
    address = f"[{host}]" if ":" in host else host
    target = Target(f"http://{address}:{port}", timeout_s=PER_REQUEST_S)
    try:
        greeting = await get(client, target, "/healthz")
        if isinstance(greeting, NoAnswer) or _is_infergate(greeting):
            return None
        kind = await identify(client, target)
        found = await list_models(client, Target(target.root_url, kind or "openai", PER_REQUEST_S))
    except OurFault:
        return None
    names = tuple(model.id for model in found.models) if isinstance(found, Inventory) else ()
    if kind in (None, "openai") and not isinstance(found, Inventory):
        return None  # no sign of an engine and no list of models: some other web server
    return FoundEngine(port, kind or "openai", names)


def _is_infergate(answer: Answer) -> bool:
    return "x-infergate" in answer.headers
