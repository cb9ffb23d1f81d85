"""One line of the access log, read. Its fields: nginx/access_line.py; of version 1: line_1.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from infergate.config.budgets import MOST_TOKENS
from infergate.contract.numbers import LONGEST_NAME
from infergate.ledger.line_1 import from_version_1
from infergate.nginx.access_line import FIRST_CHUNK, VERSION
from infergate.worker_files import entry_in

_BEGINNING = '{"ts":'
_LONGEST_WHY = 4096
_MOST_ATTEMPTS = 100
_LONGEST_CLIENT = 64
_BLOCKED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,62})\.([a-z]{1,20})\.(requests|answers)")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
CACHE = "(cache)"
"""Stands for the backend of a request that was answered with a kept answer (docs/cache.md): no
backend worked for it, and none can have this name."""


class Attempt(NamedTuple):
    """What one backend was sent. status: 0 where it did not answer; header_ms: None likewise."""

    backend: str
    status: int
    header_ms: int | None


class OldName(NamedTuple):
    """A request by a name that goes away. name: in lower case: nginx knows it in any. client: the
    beginning of its `user-agent`."""

    name: str
    client: str


class Line(NamedTuple):
    """What the ledger counts of one request.

    second: when it ended, Unix seconds. key, model, backend: empty where there was none.
    failed: answered with 400 or above, or not at all.
    cached: tokens of the prompt that came from the backend's cache.
    estimated: the tokens were counted by the gateway, because the backend did not tell.
    duration_ms: from its first byte to the answer's last; queue_ms: of this, waiting for a backend.
    status: 0 for none. error: the code that the gateway answered, else the status from 400 on.
    attempts: what was sent to backends. completed: the answer went out to its end.
    cache: HIT, MISS, EXPIRED or BYPASS, where a model has a cache; service: where it was for one.
    why: what was decided on the way.
    first_ms: from its first byte to the first piece of a stream's body; None where it is no stream.
    begun_ms: the same to the answer's first byte, of anything; None where no backend answered.
    handed: why the API tier had it; "" where it did not. What it used is told by other lines.
    old_name: None where it was asked for by one that stays.
    blocked: the guardrail that refused something, by what, and on which side.
    """

    second: int
    key: str
    model: str
    backend: str
    failed: bool
    prompt: int
    completion: int
    cached: int
    estimated: bool
    duration_ms: int
    queue_ms: int
    status: int
    error: str
    uri: str
    attempts: tuple[Attempt, ...]
    completed: bool
    cache: str
    service: str
    why: str
    first_ms: int | None
    begun_ms: int | None
    handed: str
    old_name: OldName | None
    blocked: tuple[str, str, str] | None

    @property
    def answered(self) -> bool:
        """Whether a backend did the work that was asked for."""
        return not self.failed and self.backend not in ("", CACHE)


def read_line(text: str) -> Line | None:
    """The request of a line; None if it is not one, or has numbers that cannot be.

    nginx writes no half lines, except where the disk was full: then the next one stands behind the
    torn one, and is found there. (In a value, quotes are escaped.)
    """
    entry = entry_in(text)
    if entry is None:
        at = text.rfind(_BEGINNING)
        return read_line(text[at:]) if at > 0 else None
    try:
        return _line(entry)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def request_in(text: str | bytes) -> dict[str, Any] | None:
    """The fields of a line as version 2 has them; None if it is none.

    What the values are is for the reader to look at, as with `entry_in`.
    """
    entry = entry_in(text)
    if entry is None or entry.get("v") != 1:
        return entry
    try:
        return from_version_1(entry)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _line(entry: dict[str, Any]) -> Line | None:
    if entry["v"] != VERSION:
        if entry["v"] != 1:
            return None
        entry = from_version_1(entry)
    status = entry["status"]
    prompt = entry["gen_ai.usage.input_tokens"]
    completion = entry["gen_ai.usage.output_tokens"]
    cached = entry["gen_ai.usage.cache_read.input_tokens"]
    estimated = entry["tokens_estimated"]
    if prompt is completion is cached is None:
        prompt = completion = cached = 0
    if type(estimated) is not bool:
        return None
    second, duration_ms = int(entry["ts"]), round(entry["request_time"] * 1000)
    queue_ms = entry.get("queue_ms", 0)
    first_s = entry.get(FIRST_CHUNK)  # not there in lines of before 2026-12
    first_ms = None if first_s is None else round(first_s * 1000)
    for number in (second, duration_ms, queue_ms, prompt, completion, cached):
        # A bool is none, and no float: njs writes whole numbers.
        if type(number) is not int or not 0 <= number <= MOST_TOKENS:
            return None
    return Line(
        second,
        _name(entry["key"]),
        _name(entry["gen_ai.request.model"]),
        # The field is there only where answers are kept.
        CACHE if entry.get("cache") == "HIT" else _name(entry["backend"]),
        status >= 400 or status == 0,
        prompt,
        completion,
        cached if cached < prompt else prompt,
        estimated,
        duration_ms,
        queue_ms if queue_ms < duration_ms else duration_ms,
        status if type(status) is int and 0 <= status < 1000 else 0,
        _error(entry["error"], status),
        _name(entry["uri"]),
        tuple([_attempt(each) for each in entry["attempts"][:_MOST_ATTEMPTS]]),
        entry["completed"] is True,
        _name(entry.get("cache", "")),
        _name(entry.get("service", "")),
        entry["why"][:_LONGEST_WHY],
        first_ms if first_ms is not None and 0 <= first_ms <= MOST_TOKENS else None,
        _begun_ms(first_s, duration_ms, entry["attempts"]),
        _name(entry.get("tier", "")),
        _old_name(entry) if entry.get("deprecated") else None,
        _blocked(entry["blocked"]) if entry.get("blocked") else None,
    )


def _blocked(said: str) -> tuple[str, str, str] | None:
    match = _BLOCKED.fullmatch(said)
    return None if match is None else (match[1], match[2], match[3])


def _old_name(entry: Mapping[str, Any]) -> OldName:
    client = _name(entry["user_agent"]).partition(" (")[0]
    return OldName(_name(entry["model_asked"]).lower(), client[:_LONGEST_CLIENT])


def _begun_ms(first_s: Any, took_ms: int, attempts: list[Mapping[str, Any]]) -> int | None:
    if first_s is not None:
        begun_ms = round(first_s * 1000)
    else:
        last = attempts[-1] if attempts else {"header_time": None}
        header_s, response_s = last["header_time"], last.get("response_time")
        if header_s is None or response_s is None:
            return None
        begun_ms = took_ms - round((response_s - header_s) * 1000)
    return int(min(max(begun_ms, 0), took_ms))


def _attempt(said: Mapping[str, Any]) -> Attempt:
    status, header_s = said["status"], said["header_time"]
    header_ms = None if header_s is None else round(header_s * 1000)
    return Attempt(
        _name(said["backend"]),
        status if type(status) is int and 0 <= status < 1000 else 0,
        header_ms if header_ms is not None and 0 <= header_ms <= MOST_TOKENS else None,
    )


def _error(code: str, status: int) -> str:
    """OpenTelemetry's error.type: a few words, or the status."""
    if code and _CODE.fullmatch(code):
        return code
    return str(status) if 400 <= status < 1000 else ""


def _name(value: str) -> str:
    # PostgreSQL takes no NUL, no database half a surrogate pair, and the columns are so long.
    is_plain = len(value) <= LONGEST_NAME and value.isascii() and "\0" not in value
    return value if is_plain else _clean(value)


def _clean(value: str) -> str:
    return value.encode("utf-8", "replace").decode().replace("\0", "")[:LONGEST_NAME]
