"""How a gateway is: its processes, its backends, its counting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infergate.admin.gateway import Gateway
from infergate.admin.operation import operation
from infergate.admin.status_document import KeysFileState, RunningEngine, Status
from infergate.certificates.report import read_report as read_certificates
from infergate.config.url import url_of
from infergate.contract.live import Against
from infergate.control.report import Report, read_report
from infergate.control.seen import not_asked, seen, unknown_since
from infergate.control.services import read_services
from infergate.engine.find import fetched_at
from infergate.engine.running import running_engine
from infergate.errors import StateError
from infergate.ledger.status import read_status
from infergate.live.drain import drain
from infergate.live.revisions import current
from infergate.live.shared_memory import read
from infergate.loops import read_failing
from infergate.operate.backend_list import backend_list
from infergate.state.keys_file import read_keys_file
from infergate.state_file import set_aside
from infergate.supervise.instance import running
from infergate.supervise.tier_processes import read_tier

if TYPE_CHECKING:
    from infergate.live.revisions import Revision
    from infergate.live.shared_memory import LiveState
    from infergate.paths import Home


@operation("GET", "/status")
def status(gateway: Gateway) -> Status:
    """The processes, and every backend and service with its state and what it is doing."""
    loaded, home = gateway.loaded, gateway.home
    processes = running(home)
    there = backend_list(gateway.applied, home)
    try:
        live = read(home.socket)
    except StateError:
        live = None
    report, ledger = read_report(home.health), read_status(home.ledger)
    applied = current(home)
    drained = _drained(gateway, live) if report else {}
    is_asked = processes.nginx is not None or processes.control is not None
    return Status.model_validate(
        {
            "running": processes.nginx is not None,
            "url": url_of(loaded.config),
            "config": str(loaded.path),
            "home": str(home.root),
            "processes": asdict(processes),
            "engine": _engine(home, applied),
            "revision": applied.number if applied and live else None,
            "file_applied": applied is not None and _text(loaded.path) == applied.text,
            "drain": asdict(drain(home)),
            "keys": live.keys if live else None,
            "keys_file": _keys_file(gateway),
            "ledger": asdict(ledger) if ledger else None,
            "failing": [asdict(each) for each in read_failing(home.loops)]
            if processes.control is not None
            else [],
            "set_aside": [str(path) for path in _set_aside(home)],
            "backends": [
                {
                    **there["backends"][backend.name],
                    **(seen(backend, live, drained) if is_asked else not_asked(backend, drained)),
                }
                for backend in (report.backends if report else ())
                if backend.name in there["backends"]
            ],
            "removed_backends": there["removed"],
            "groups": there["groups"],
            "services": _services(gateway, is_asked=is_asked),
            "certificates": [asdict(row) for row in read_certificates(home.certificates)]
            if loaded.config.tls
            else [],
            "cache": _kept(live),
            "uncopied": live.uncopied if live else {},
            "memory": [asdict(fill) for fill in (live.zones if live else ())],
            "tier": [asdict(each) for each in read_tier(home.tier_processes)]
            if processes.supervisor is not None
            else [],
            "endpoints": _endpoints(gateway) if processes.supervisor is not None else [],
            "conflicts": report.conflicts if report else [],
            "missing_models": _missing(report),
        }
    )


def _services(gateway: Gateway, *, is_asked: bool) -> list[dict[str, Any]]:
    return [
        asdict(each) if is_asked else {**asdict(each), **unknown_since(each)}
        for each in read_services(gateway.home.services)
        if each.name in gateway.loaded.config.services
    ]


def _missing(report: Report | None) -> list[dict[str, str]]:
    missing = report.missing if report else ()
    return [{"model": model, "backend": backend} for model, backend in missing]


def _kept(live: LiveState | None) -> dict[str, dict[str, int]]:
    kept = live.kept if live else {}
    return {model: {"hits": hits, "misses": misses} for model, (hits, misses) in kept.items()}


def _set_aside(home: Home) -> Iterator[Path]:
    for folder in (home.state, home.run, *home.revisions.glob("*")):
        yield from set_aside(folder)


def _engine(home: Home, applied: Revision | None) -> RunningEngine | None:
    argv = running_engine(home.root)
    if argv is None or applied is None:
        return None
    return RunningEngine(name=applied.engine, fetched_at=fetched_at(argv))


def _drained(gateway: Gateway, live: LiveState | None) -> Mapping[str, float]:
    """Backends that an operator drained, and since when; by nginx's word, since now, where the
    database is away. Where nginx says that none is, the database is not asked: to load what that
    takes is half of the command's time."""
    conditions = live.conditions if live else {}
    by_nginx = {name: time.time() for name, each in conditions.items() if each == Against.DRAINED}
    if live is not None and not by_nginx:
        return {}
    from infergate.store.drained import drained_backends

    try:
        return drained_backends(gateway.database)
    except StateError:
        return by_nginx


def _endpoints(gateway: Gateway) -> list[Mapping[str, object]]:
    api = gateway.applied.config.api
    if api is None or api.endpoints is None:
        return []
    from infergate.api.asked import endpoint_files  # hardly any gateway has some

    return endpoint_files(gateway.home.endpoints_socket)


def _keys_file(gateway: Gateway) -> KeysFileState | None:
    name = gateway.applied.config.auth.keys_file
    if name is None:
        return None
    found = read_keys_file(gateway.applied, gateway.home)
    return KeysFileState(file=name, keys=len(found.keys), problem=found.problem)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
