"""Single requests, as the access log has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.newest import NewestFirst
from infergate.admin.operation import After, Document, Limit, Which, operation
from infergate.admin.told import told
from infergate.config.budgets import NANO
from infergate.config.root import Config
from infergate.errors import NotThere
from infergate.ledger.line import read_line, request_in
from infergate.ledger.prices import nano_of, prices_of
from infergate.ledger.tail import log_files
from infergate.worker_files import next_line


class Explained(Document):
    """A request, and why it went where it went."""

    entry: dict[str, Any] = Field(description="Its line in the access log (version 2).")
    told: list[str] = Field(description="The same in words: rule, scores, waits, attempts, tokens.")
    cost: float = Field(description="By the prices of now; 0 where the model has none.")
    currency: str


_LATELY = 1000
"""Requests before one that is explained: the one that it goes on from is looked for in them."""

_MOST_BYTES = 64 * 1024**2
"""Of the log that one question looks through: some 130,000 requests, two or three seconds."""

Only = Annotated[str | None, Field(max_length=256, description="Only those with exactly this one.")]
StatusIs = Annotated[
    str | None, Field(pattern=r"^[1-5](xx|[0-9]{2})$", description="Only these: 429, or 5xx.")
]


class RequestPage(Document):
    """Requests, the newest first; `next` counts those that were found."""

    items: list[dict[str, Any]] = Field(description="Lines of the access log (version 2).")
    next: int | None
    back_to: float | None = Field(
        description="Unix seconds: how far back was looked; null: through all of the log."
    )


@operation("GET", "/requests")
def list_requests(
    gateway: Gateway,
    *,
    key: Only = None,
    model: Only = None,
    backend: Only = None,
    status: StatusIs = None,
    failed: bool = False,
    after: After = 0,
    limit: Limit = 100,
) -> RequestPage:
    """What was asked lately, as `infergate logs` shows it. At most 64 MiB of the log are looked
    through. failed: only those that got no good answer."""
    found: list[dict[str, Any]] = []
    passed, back_to = 0, None
    lines = NewestFirst(gateway.home.access_log, _MOST_BYTES)
    for line in lines:
        entry = request_in(line)
        if entry is None or not _wanted(entry, key, model, backend, status, failed=failed):
            continue
        if passed < after:
            passed += 1
        elif len(found) == limit:
            return RequestPage(items=found, next=after + limit, back_to=found[-1].get("ts"))
        else:
            found.append(entry)
            back_to = entry.get("ts")
    return RequestPage(items=found, next=None, back_to=back_to if lines.cut else None)


def _wanted(
    entry: Mapping[str, Any],
    key: str | None,
    model: str | None,
    backend: str | None,
    status: str | None,
    *,
    failed: bool,
) -> bool:
    said = entry.get("status", 0)
    models = (entry.get("gen_ai.request.model"), entry.get("model_asked"))
    return (
        (key is None or entry.get("key") == key)
        and (model is None or model in models)
        and (backend is None or entry.get("backend") == backend)
        and (status is None or str(said).startswith(status.rstrip("x")))
        and (not failed or not isinstance(said, int) or said >= 400 or said == 0)
    )


@operation("GET", "/requests/{request}")
def explain(gateway: Gateway, request: Which) -> Explained:
    """Why a request went where it went; by x-infergate-request-id of its answer, or its own
    x-request-id."""
    log, found, text = gateway.home.access_log, None, ""
    lately: deque[str] = deque(maxlen=_LATELY)
    before: list[str] = []
    for line in log_lines(log):
        if request in line:
            entry = request_in(line) or {}
            if request in (entry.get("id"), entry.get("request_id")):
                found, text, before = entry, line, list(lately)
        if '"why":"work ' in line:
            lately.append(line)
    if found is None:
        raise NotThere(
            f"there is no request {request!r} in the log",
            where=str(log),
            hint="The header x-infergate-request-id of an answer names it.",
        )
    return Explained(
        entry=found,
        told=list(told(found, [each for line in reversed(before) if (each := request_in(line))])),
        cost=_cost(text, gateway.loaded.config),
        currency=gateway.loaded.config.usage.currency,
    )


def _cost(line: str, config: Config) -> float:
    """As the ledger counts it (ledger/count.py)."""
    counted = read_line(line)
    return 0.0 if counted is None else nano_of(counted, prices_of(config)(counted.model)) / NANO


def log_lines(log: Path) -> Iterator[str]:
    """The lines of the log and of the files it was rotated to, oldest first."""
    for path in log_files(log):
        with path.open("rb") as file:
            while line := next_line(file):
                yield line.decode(errors="replace")
