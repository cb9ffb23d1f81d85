"""The metrics of the moment, from what `infergate status` tells."""

from __future__ import annotations

from collections.abc import Iterator

from infergate.admin.gateway import Gateway
from infergate.admin.readiness import models_ready
from infergate.admin.status import status
from infergate.admin.status_document import BackendState, Status
from infergate.control.budget_shares import read_uses
from infergate.control.seen import is_open
from infergate.errors import StateError
from infergate.live.drain import open_connections
from infergate.live.shared_memory import connections, read
from infergate.metrics import live as of
from infergate.metrics.family import Measured, averaged, measured, one

_SERVES = ("up", "slow")
_MOST_QUEUES = 200
"""Models; the others are in infergate_queued_requests alone."""


def live(gateway: Gateway, version: str) -> Iterator[Measured]:
    """All of them; what is not known is left out."""
    now = status(gateway)
    yield from _gateway(now, version)
    yield from _backends(now.backends)
    yield measured(
        of.SERVICE_UP, {(each.name,): float(each.state == "up") for each in now.services}
    )
    yield one(of.WITHOUT_BACKEND, sum(not each.ready for each in models_ready(gateway, now)))
    yield from _budgets(gateway)
    yield one(of.MISSING, len(now.missing_models))
    yield from _nginx(gateway, now)
    yield measured(of.EXPIRES, {(each.site,): each.not_after for each in now.certificates})
    yield measured(
        of.CERTIFICATE_PROBLEM,
        {(each.site,): float(bool(each.problem)) for each in now.certificates},
    )
    yield from _ledger(now)
    yield one(of.FAILING, len(now.failing))
    yield one(of.BANS, _bans(gateway))


def _gateway(now: Status, version: str) -> Iterator[Measured]:
    engine = now.engine.name if now.engine else ""
    yield measured(of.BUILD, {(version, engine): 1})
    yield measured(
        of.PROCESS,
        {(name,): float(pid is not None) for name, pid in now.processes.model_dump().items()},
    )
    yield one(of.REVISION, now.revision)
    yield one(of.APPLIED, float(now.file_applied))
    yield one(of.KEYS, now.keys)


def _budgets(gateway: Gateway) -> Iterator[Measured]:
    uses = read_uses(gateway.home.budgets)
    if uses is None:
        return
    yield one(of.BUDGETS_NEARLY, uses.nearly_spent)
    first = uses.first[: gateway.loaded.config.metrics.keys]
    yield measured(
        of.BUDGET_USED, {(each.key, each.team, each.budget): each.ratio for each in first}
    )


def _backends(backends: list[BackendState]) -> Iterator[Measured]:
    def of_each(value: str) -> dict[tuple[str, ...], float | None]:
        return {(each.name,): getattr(each, value) for each in backends}

    yield measured(of.IN_FLIGHT, of_each("in_flight"))
    yield measured(of.STATE, {(each.name, each.state): 1 for each in backends})
    yield measured(of.BACKEND_UP, {(each.name,): float(each.state in _SERVES) for each in backends})
    yield measured(
        of.ENGINE,
        {(each.name, each.kind or "", each.version or ""): 1 for each in backends},
    )
    yield measured(
        of.PROBE,
        {
            (each.name,): None if each.latency_ms is None else each.latency_ms / 1000
            for each in backends
        },
    )
    yield measured(of.MODELS, {(each.name,): len(each.models) for each in backends})
    yield measured(
        of.LOADED,
        {(each.name,): None if each.loaded is None else len(each.loaded) for each in backends},
    )
    yield measured(of.RUNNING, of_each("running"))
    yield measured(of.WAITING, of_each("waiting"))
    yield measured(of.KV_CACHE, of_each("kv_cache_use"))
    yield measured(of.GENERATED, of_each("generation_tokens"))
    yield measured(of.PROMPTED, of_each("prompt_tokens"))
    yield averaged(
        of.FIRST_TOKEN,
        {(each.name,): _timed(each.first_tokens_s, each.first_tokens) for each in backends},
    )
    yield averaged(
        of.TOKEN_TIME,
        {(each.name,): _timed(each.timed_tokens_s, each.timed_tokens) for each in backends},
    )


def _timed(seconds: float | None, count: int | None) -> tuple[float, float] | None:
    return None if seconds is None or count is None else (seconds, count)


def _nginx(gateway: Gateway, now: Status) -> Iterator[Measured]:
    yield measured(of.ZONE_BYTES, {(each.zone,): each.bytes for each in now.memory})
    yield measured(
        of.ZONE_USED,
        {(each.zone, str(each.evicts).lower()): each.used for each in now.memory},
    )
    yield one(of.OLD_WORKERS, now.drain.workers)
    try:
        told = read(gateway.home.socket)
    except StateError:
        return
    yield one(of.QUEUED, told.waiting)
    waiting = sorted(told.waiting_by_model.items(), key=lambda each: (-each[1], each[0]))
    yield measured(of.QUEUED_FOR, {(model,): n for model, n in waiting[:_MOST_QUEUES]})
    yield from _connections(gateway, now)
    yield measured(
        of.BREAKER,
        {(each.name,): float(is_open(told.breakers.get(each.name))) for each in now.backends},
    )


def _connections(gateway: Gateway, now: Status) -> Iterator[Measured]:
    try:
        told = connections(gateway.home.socket)
    except StateError:
        return
    if told is None:
        nginx = now.processes.nginx
        yield measured(of.CONNECTIONS, {("open",): open_connections(nginx) if nginx else None})
        return
    states = ("reading", "writing", "waiting")
    yield measured(of.CONNECTIONS, {(state,): getattr(told, state) for state in states})
    yield one(of.ACCEPTED, told.accepted)


def _ledger(now: Status) -> Iterator[Measured]:
    if now.ledger is None:
        return
    yield one(of.LAG, now.ledger.behind_bytes)
    yield one(of.LEDGER_AT, now.ledger.at)
    yield one(of.LEDGER_STOPPED, float(bool(now.ledger.problem)))
    yield one(of.UNREADABLE, now.ledger.unreadable)
    yield one(of.KILLED, now.ledger.killed_workers)


def _bans(gateway: Gateway) -> int | None:
    from infergate.store.bans import active_bans

    try:
        return len(active_bans(gateway.database))
    except StateError:
        return None
