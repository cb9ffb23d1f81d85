"""Lines of an access log, as nginx.conf.j2 has them, and what they add up to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infergate.ledger.tail import log_files
from infergate.store.database import Database
from infergate.store.usage import Period, usage_by

_NUMBER = itertools.count()


def line(**fields: Any) -> str:
    """One line; every call another id."""
    entry = {
        "ts": 1_795_000_000.123,
        "status": 200,
        "ip": "10.0.0.7",
        "v": 1,
        "id": f"{next(_NUMBER):032x}",
        "method": "POST",
        "uri": "/v1/chat/completions",
        "key": "ci",
        "model": "m",
        "backend": "a",
        "tried": "",
        "error": "",
        "request_time": 0.25,
        "upstream_header_time": "0.120",
        "upstream_status": "200",
        "request_length": 300,
        "tokens": [7, 5, 2],
        "queue_ms": 0,
        "why": "least_busy a=0 b=1",
        "request_id": "",
        "bytes_sent": 500,
        "completed": "OK",
        "user_agent": "OpenAI/Python 1.99.0",
        **fields,
    }
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n"


Totals = tuple[int, int, int, int]
"""Requests, and their tokens of prompts, of answers, and cached."""


def in_texts(texts: Iterable[str]) -> Totals:
    """What the lines of these texts add up to, reckoned the plain way."""
    found = [0, 0, 0, 0]
    for text in texts:
        for each in text.splitlines():
            entry = json.loads(each)
            found[0] += 1
            for at, number in enumerate((entry["tokens"] or [0, 0, 0])[:3]):
                found[at + 1] += number
    return found[0], found[1], found[2], found[3]


def in_logs(log: Path) -> Totals:
    """The same of a log and the files it was rotated to."""
    return in_texts(path.read_text() for path in log_files(log))


def in_store(database: Database, period: Period = "d") -> Totals:
    """What the ledger has counted."""
    rows = usage_by(database, period, 0, 2**40, [])
    sums = rows[0][1]
    return sums.requests, sums.prompt_tokens, sums.completion_tokens, sums.cached_tokens
