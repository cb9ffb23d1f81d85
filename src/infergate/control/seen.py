"""A backend as its users meet it: what the probes say, what an operator did, how requests fare."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from infergate.contract.live import BreakerEntry as At
from infergate.contract.live import EngineFact
from infergate.control.report import BackendReport
from infergate.live.shared_memory import LiveState


class _Stated(Protocol):
    @property
    def state(self) -> str: ...
    @property
    def since(self) -> float: ...


def is_open(entry: tuple[Any, ...] | None) -> bool:
    """Whether a circuit breaker keeps requests away; None: it has no failures."""
    return entry is not None and entry[At.UNTIL] > 0


def unknown_since(known: _Stated) -> dict[str, Any]:
    """The state of what nobody asks any longer."""
    return {"state": "unknown", "reason": f"it was {known.state} when it was last asked"}


def _balance(engine: Sequence[float] | None) -> dict[str, float | None] | None:
    """What `balance: work` goes by, of what is known of an engine."""
    if engine is None:
        return None
    return {
        "kv_cache_tokens": engine[EngineFact.HOLDS] or None,
        "prefill_tokens_s": round(engine[EngineFact.READS] * 1000) or None,
        "trust": round(1 - engine[EngineFact.DISTRUST], 2),
    }


def not_asked(backend: BackendReport, drained: Mapping[str, float]) -> dict[str, Any]:
    """The report of one backend while the gateway is down. drained: as of `seen`."""
    work = dict.fromkeys(("running", "waiting", "kv_cache_use", "latency_ms"))
    nothing = {"in_flight": 0, "load": 0, "balance": None, "drained": backend.name in drained}
    return {**vars(backend), **work, **nothing, **unknown_since(backend)}


def seen(
    backend: BackendReport, live: LiveState | None, drained: Mapping[str, float]
) -> dict[str, Any]:
    """The report of one backend, with its state as requests find it.

    live: None while nginx does not run. drained: backend → since when, in Unix seconds.
    in_flight in the answer is our requests there, load what others have there (health/load.py).
    """
    in_flight = live.in_flight.get(backend.name, 0) if live else 0
    entry = live.breakers.get(backend.name) if live else None
    found = {
        **vars(backend),
        "in_flight": in_flight,
        "load": live.load.get(backend.name, 0) if live else 0,
        "balance": _balance(live.engines.get(backend.name)) if live else None,
        "drained": backend.name in drained,
    }
    if backend.name in drained:
        left = f"; it finishes the {in_flight} it has" if in_flight else ""
        found |= {
            "state": "draining",
            "reason": f"an operator gave it no more requests{left}",
            "since": drained[backend.name],
        }
    elif backend.serves and entry is not None and is_open(entry):
        wait_s = max(0, round(entry[At.UNTIL] / 1000 - time.time()))
        found |= {
            "state": "down",
            "reason": f"{entry[At.FAILURES]} of {entry[At.REQUESTS]} requests failed; "
            + (f"the next trial is in {wait_s} s" if wait_s else "it is being tried"),
            "since": entry[At.SINCE] / 1000,
        }
    return found
