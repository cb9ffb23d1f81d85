"""Engines that already run on this machine, for a start without a configuration file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from infergate.health.ask import (
    NoAnswer,
    OurFault,
    ProbeAnswer,
    ProbeClient,
    Target,
    get,
    make_client,
)
from infergate.health.inventory import Inventory
from infergate.health.probe import identify, list_models
from infergate.kinds import KINDS, OTHER, KindName

_SECOND_LLAMACPP = 8081
_WEB = 80
"""In containers only: on a machine something else listens there."""

USUAL_PORTS = tuple(
    sorted({kind.port for kind in KINDS.values() if kind.port} - {_WEB} | {_SECOND_LLAMACPP})
)
"""Where servers listen that were told nothing else."""

SEARCH_S = 1.2
"""The whole search ends within this; an engine on this machine answers in milliseconds."""

PER_REQUEST_S = 0.4
"""One request of the search; at most five follow one another, and most ports refuse at once."""


@dataclass(frozen=True)
class FoundEngine:
    """An engine on this machine. models: the names of what it has."""

    port: int
    kind: KindName
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


async def _look_at(client: ProbeClient, host: str, port: int) -> FoundEngine | None:
    address = f"[{host}]" if ":" in host else host
    target = Target(f"http://{address}:{port}", timeout_s=PER_REQUEST_S)
    try:
        greeting = await get(client, target, "/healthz")
        if isinstance(greeting, NoAnswer) or _is_infergate(greeting):
            return None
        kind = await identify(client, target)
        found = await list_models(client, Target(target.root_url, kind or OTHER, PER_REQUEST_S))
    except OurFault:
        return None
    names = tuple(model.id for model in found.models) if isinstance(found, Inventory) else ()
    if kind in (None, OTHER) and not isinstance(found, Inventory):
        return None  # no sign of an engine and no list of models: some other web server
    return FoundEngine(port, kind or OTHER, names)


def _is_infergate(answer: ProbeAnswer) -> bool:
    return "x-infergate" in answer.headers
