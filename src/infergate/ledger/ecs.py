"""A line of the access log in the names of the Elastic Common Schema. What ECS has no name for is
below `infergate`, by its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infergate.ledger.line import request_in

VERSION = "8.17.0"
"""Of ECS. Its gen_ai fields are from 8.17 on."""

NAMES: Mapping[str, str] = {
    "ip": "client.ip",
    "method": "http.request.method",
    "request_length": "http.request.bytes",
    "request_id": "http.request.id",
    "referer": "http.request.referrer",
    "status": "http.response.status_code",
    "bytes_sent": "http.response.bytes",
    "uri": "url.path",
    "user_agent": "user_agent.original",
    "key": "user.name",
    "id": "event.id",
    "error": "error.code",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "gen_ai.request.model": "gen_ai.request.model",
    "gen_ai.usage.input_tokens": "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens": "gen_ai.usage.output_tokens",
}
"""Fields of nginx/access_line.py that have one of ECS."""

_ELSEWHERE = ("ts", "time", "request_time", "protocol", "v")
"""What is made of these is below."""
_NANOSECONDS = 1_000_000_000


def as_ecs(text: str) -> str | None:
    """The line as one JSON object with nested names; None if it is no request."""
    entry = request_in(text)
    if entry is None:
        return None
    try:
        return json.dumps(_document(entry), separators=(",", ":"))
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def name_of(field: str) -> str:
    """Of a field of the line, with dots between what is nested."""
    own = field.removeprefix("gen_ai.usage.").removeprefix("gen_ai.response.")
    return NAMES.get(field, f"infergate.{own}")


def _document(entry: Mapping[str, Any]) -> dict[str, Any]:
    at = datetime.fromtimestamp(entry["ts"], UTC)
    took_ns = round(entry["request_time"] * _NANOSECONDS)
    failed = entry["status"] == 0 or entry["status"] >= 400
    found: dict[str, Any] = {
        "@timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ecs": {"version": VERSION},
        "event": {
            "kind": "event",
            "category": ["web"],
            "type": ["access"],
            "dataset": "infergate.access",
            "outcome": "failure" if failed else "success",
            "duration": took_ns,
        },
        "service": {"type": "infergate"},
    }
    if entry.get("protocol", "").startswith("HTTP/"):
        _put(found, "http.version", entry["protocol"].removeprefix("HTTP/"))
    for name, value in entry.items():
        if value in ("", None) or name in _ELSEWHERE:
            continue
        _put(found, name_of(name), value)
    return found


def _put(into: dict[str, Any], path: str, value: object) -> None:
    *folders, last = path.split(".")
    for each in folders:
        into = into.setdefault(each, {})
    into[last] = value
