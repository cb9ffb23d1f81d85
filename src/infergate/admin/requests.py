"""Single requests, as the access log has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, Which, operation
from infergate.admin.told import told
from infergate.errors import NotThere
from infergate.ledger.line import request_in
from infergate.ledger.tail import log_files
from infergate.worker_files import next_line


class Explained(Document):
    """A request, and why it went where it went."""

    entry: dict[str, Any] = Field(description="Its line in the access log (version 2).")
    told: list[str] = Field(description="The same in words: rule, scores, waits, attempts, tokens.")


@operation("GET", "/requests/{request}")
def explain(gateway: Gateway, request: Which) -> Explained:
    """Why a request went where it went; by x-infergate-request-id of its answer, or its own
    x-request-id."""
    log, found = gateway.home.access_log, None
    for line in log_lines(log):
        if request in line:
            entry = request_in(line) or {}
            if request in (entry.get("id"), entry.get("request_id")):
                found = entry
    if found is None:
        raise NotThere(
            f"there is no request {request!r} in the log",
            where=str(log),
            hint="The header x-infergate-request-id of an answer names it.",
        )
    return Explained(entry=found, told=list(told(found)))


def log_lines(log: Path) -> Iterator[str]:
    """The lines of the log and of the files it was rotated to, oldest first."""
    for path in log_files(log):
        with path.open("rb") as file:
            while line := next_line(file):
                yield line.decode(errors="replace")
