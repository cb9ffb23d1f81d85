"""What the control plane knows of the backends, as a file: for `infergate status`, and for itself
after a restart, so that models of a backend that is away are not forgotten."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infergate.files import write_atomically
from infergate.health.inventory import Inventory, ModelInfo
from infergate.state_file import read_state

if TYPE_CHECKING:  # it brings httpx, which takes longer to load than `infergate status` to run
    from infergate.health.monitor import BackendStatus


T = TypeVar("T")

_VERSION = 3
"""Of the report's fields. A report of another version counts as none; it is soon written anew."""


@dataclass(frozen=True)
class BackendReport:
    """One backend as it was last written down.

    since: Unix seconds. running … timed_tokens_s: what the engine says of its own work
        (kinds/work.py); None where it does not. loaded: models in memory, likewise.
    """

    name: str
    url: str
    state: str
    reason: str
    since: float
    kind: str | None
    version: str | None
    models: tuple[str, ...]
    models_problem: str | None
    latency_ms: float | None
    running: int | None
    waiting: int | None
    kv_cache_use: float | None
    generation_tokens: int | None
    prompt_tokens: int | None
    first_tokens: int | None = None
    first_tokens_s: float | None = None
    timed_tokens: int | None = None
    timed_tokens_s: float | None = None
    loaded: tuple[str, ...] | None = None

    @property
    def serves(self) -> bool:
        """Whether it gets requests like any other (health/condition.py)."""
        return self.state in ("up", "slow")


@dataclass(frozen=True)
class Report:
    """All backends.

    written_at: Unix seconds.
    complete: every backend was probed, and asked for its models if it is up.
    missing: (model, backend) pairs that the configuration names and the backend does not have.
    conflicts: what else does not fit together (state/conflicts.py).
    """

    written_at: float
    complete: bool
    backends: tuple[BackendReport, ...]
    missing: tuple[tuple[str, str], ...]
    conflicts: tuple[str, ...]


def write_report(
    path: Path,
    statuses: Sequence[BackendStatus],
    urls: Mapping[str, str],
    inventories: Mapping[str, Inventory],
    missing: Iterable[tuple[str, str]],
    conflicts: Iterable[str] = (),
) -> None:
    """Replace the report. Raises StateError if the disk refuses."""
    backends = [_reported(status, urls[status.name]) for status in statuses]
    document = {
        "v": _VERSION,
        "written_at": time.time(),
        "complete": all(
            status.state != "unknown" and (status.discovered or not status.serves)
            for status in statuses
        ),
        "backends": [vars(backend) for backend in backends],
        "missing": list(missing),
        "conflicts": list(conflicts),
        "inventories": _dumped(inventories),
    }
    write_atomically(path, json.dumps(document))


def note_asked(path: Path, inventories: Mapping[str, Inventory]) -> None:
    """Leave the control plane what backends said that it has not asked yet: they are routed to as
    soon as they are active."""
    write_atomically(path, json.dumps({"v": _VERSION, "inventories": _dumped(inventories)}))


def _dumped(inventories: Mapping[str, Inventory]) -> dict[str, Any]:
    return {
        name: {**vars(each), "models": [vars(model) for model in each.models]}
        for name, each in inventories.items()
    }


def _reported(status: BackendStatus, url: str) -> BackendReport:
    latency_s, work = status.last_latency_s, status.vitals.work
    return BackendReport(
        name=status.name,
        url=url,
        state=status.state,
        reason=status.reason,
        since=status.since,
        kind=status.kind,
        version=status.version,
        models=tuple(model.id for model in status.models),
        models_problem=status.models_problem,
        latency_ms=None if latency_s is None else round(latency_s * 1000, 1),
        running=work.running if work else None,
        waiting=work.waiting if work else None,
        kv_cache_use=work.kv_cache_use if work else None,
        generation_tokens=work.generation_tokens if work else None,
        prompt_tokens=work.prompt_tokens if work else None,
        first_tokens=work.first_tokens.times if work and work.first_tokens else None,
        first_tokens_s=work.first_tokens.seconds if work and work.first_tokens else None,
        timed_tokens=work.tokens.times if work and work.tokens else None,
        timed_tokens_s=work.tokens.seconds if work and work.tokens else None,
        loaded=_loaded(status.models),
    )


def _loaded(models: Sequence[ModelInfo]) -> tuple[str, ...] | None:
    if all(model.loaded is None for model in models):
        return None
    return tuple(model.id for model in models if model.loaded)


def read_report(path: Path) -> Report | None:
    """The report, or None if there is none that can be read."""
    return _read(path, _report)


def _report(document: Mapping[str, Any]) -> Report:
    return Report(
        written_at=document["written_at"],
        complete=document["complete"],
        backends=tuple(
            BackendReport(**{**each, "models": tuple(each["models"])})
            for each in document["backends"]
        ),
        missing=tuple((model, backend) for model, backend in document["missing"]),
        conflicts=tuple(document["conflicts"]),
    )


def read_inventories(path: Path) -> dict[str, Inventory]:
    """What each backend had when the report (or note_asked) was written; empty without one."""
    return _read(path, _inventories) or {}


def _inventories(document: Mapping[str, Any]) -> dict[str, Inventory]:
    return {
        name: Inventory(
            kind=each["kind"],
            version=each["version"],
            models=tuple(ModelInfo(**model) for model in each["models"]),
        )
        for name, each in document["inventories"].items()
    }


def _read(path: Path, understood: Callable[[dict[str, Any]], T]) -> T | None:
    return read_state(path, lambda said: understood(said) if said["v"] == _VERSION else None)
