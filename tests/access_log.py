"""Lines of an access log, as nginx/access_line.py has them, and what they add up to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from infergate.ledger.tail import log_files
from infergate.nginx.access_line import VERSION
from infergate.nginx.access_line_schema import json_schema
from infergate.store.database import Database
from infergate.store.usage import Period, usage_by
from infergate.worker_files import entry_in

LINE = jsonschema_rs.validator_for(json_schema())
"""docs/access-line.schema.json."""

LARGEST = 64 * 1024 * 1024
"""Bytes: some tests make a log terabytes long, of nothing."""

_NUMBER = itertools.count()


def line(**fields: Any) -> str:
    """One line; every call another id."""
    entry = {
        "ts": 1_795_000_000.123,
        "status": 200,
        "ip": "10.0.0.7",
        "v": 2,
        "id": f"{next(_NUMBER):032x}",
        "method": "POST",
        "uri": "/v1/chat/completions",
        "key": "ci",
        "error": "",
        "time": "2026-11-18T09:06:40+00:00",
        "model_asked": "m",
        "gen_ai.request.model": "m",
        "backend": "a",
        "attempts": [attempt("a", 200, 0.12)],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "tokens_estimated": False,
        "request_time": 0.25,
        "queue_ms": 0,
        "request_length": 300,
        "bytes_sent": 500,
        "completed": True,
        "why": "least_busy a=0 b=1",
        "request_id": "",
        "user_agent": "OpenAI/Python 1.99.0",
        "protocol": "HTTP/1.1",
        "referer": "",
        "forwarded_for": "",
        **fields,
    }
    return _text(entry)


def attempt(backend: str, status: int | None, header_time: float | None) -> dict[str, Any]:
    """One element of `attempts`."""
    return {
        "backend": backend,
        "address": "10.0.0.8:8000",
        "status": status,
        "header_time": header_time,
        "response_time": 0.25,
    }


def line_1(**fields: Any) -> str:
    """One line of version 1, as gateways of before 2026-12 wrote it."""
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
    return _text(entry)


def _text(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n"


_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
)


NO_TOKENS: dict[str, Any] = {**dict.fromkeys(_TOKENS), "tokens_estimated": False}


def told(*numbers: Any, estimated: bool = False) -> dict[str, Any]:
    """A line's fields of tokens: of the prompt, of the answer, cached."""
    return {**dict(zip(_TOKENS, numbers, strict=True)), "tokens_estimated": estimated}


def tokens(entry: Mapping[str, Any]) -> list[int] | None:
    """A line's tokens: of the prompt, of the answer, cached, and a 1 where they are estimated; None
    where it has none."""
    found = [entry[name] for name in _TOKENS]
    assert type(entry["tokens_estimated"]) is bool
    if found == [None] * 3:
        assert not entry["tokens_estimated"]
        return None
    return found + [1] * entry["tokens_estimated"]


def tried(entry: Mapping[str, Any]) -> list[str]:
    """The backends that had a request before the last one."""
    return [each["backend"] for each in entry["attempts"][:-1]]


def assert_lines_fit(log: Path) -> None:
    """Every line of a log and the files it was rotated to is as the schema says. What a test wrote
    there that is no line, or of version 1, is passed over."""
    for path in log_files(log):
        if path.stat().st_size > LARGEST:
            continue
        for text in path.read_bytes().decode("utf-8", "replace").split("\n"):
            entry = entry_in(text)
            if entry is not None and entry.get("v") == VERSION:
                assert LINE.is_valid(entry), (text, str(next(LINE.iter_errors(entry))))


Totals = tuple[int, int, int, int]
"""Requests, and their tokens of prompts, of answers, and cached."""


def in_texts(texts: Iterable[str]) -> Totals:
    """What the lines of these texts add up to, reckoned the plain way."""
    found = [0, 0, 0, 0]
    for text in texts:
        for each in text.split("\n"):  # a client's name may have U+2028 in it
            if not each:
                continue
            entry = json.loads(each)
            found[0] += 1
            for at, name in enumerate(_TOKENS):
                found[at + 1] += entry[name] or 0
    return found[0], found[1], found[2], found[3]


def in_logs(log: Path) -> Totals:
    """The same of a log and the files it was rotated to."""
    return in_texts(path.read_text() for path in log_files(log))


def in_store(database: Database, period: Period = "d") -> Totals:
    """What the ledger has counted."""
    rows = usage_by(database, period, 0, 2**40, [])
    sums = rows[0][1]
    return sums.requests, sums.prompt_tokens, sums.completion_tokens, sums.cached_tokens
