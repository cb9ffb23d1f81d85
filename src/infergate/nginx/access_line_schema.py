"""The access log's line as a JSON Schema, for whoever reads it: docs/access-line.schema.json. It is
made of the table in access_line.py."""

from __future__ import annotations

from typing import Any

from infergate.nginx.access_line import (
    ADDED,
    EVERY,
    FIELDS,
    FIRST_CHUNK,
    VERSION,
    Field,
)

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
_SECONDS = {"type": "number", "minimum": 0}
_SECONDS_OR_NULL = {"type": ["number", "null"], "minimum": 0}
_FLAG = {"type": "boolean"}
_STATUS = {"type": "integer", "minimum": 0, "maximum": 999}
_ATTEMPT = {
    "backend": {**_TEXT, "description": "Its name"},
    "address": {**_TEXT, "description": "Address and port that were asked; empty if not known"},
    "status": {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 999,
        "description": "HTTP status; 502 and 504 may be nginx's own; null for none",
    },
    "header_time": {**_SECONDS_OR_NULL, "description": "Until its answer began, seconds"},
    "response_time": {**_SECONDS_OR_NULL, "description": "Until its answer ended, seconds"},
}
_OTHER: dict[str, dict[str, Any]] = {
    "ts": _SECONDS,
    "status": _STATUS,
    "v": {"const": VERSION},
    "time": {**_TEXT, "format": "date-time"},
    "request_time": _SECONDS,
    FIRST_CHUNK: _SECONDS_OR_NULL,
    "completed": _FLAG,
    "tokens_estimated": _FLAG,
    "model_asked": {**_TEXT, "maxLength": 256},
    "cache": {"enum": ["", "HIT", "MISS", "EXPIRED", "BYPASS"]},
    "trace_id": {**_TEXT, "pattern": "^[0-9a-f]{32}$"},
    "span_id": {**_TEXT, "pattern": "^[0-9a-f]{16}$"},
    "parent_span_id": {**_TEXT, "pattern": "^([0-9a-f]{16})?$"},
}
"""What is no plain text and no plain number."""
_KINDS: dict[str, dict[str, Any]] = {
    "text": _TEXT,
    "some": _TEXT,
    "plain": _COUNT,
    "tokens": _COUNT_OR_NULL,
}


def json_schema() -> dict[str, Any]:
    """The schema (2020-12). More fields may come within a version, so more are allowed."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of Infergate's access log, version {VERSION}",
        "type": "object",
        "required": [each.name for each in FIELDS if each.name not in ADDED],
        "properties": {each.name: _of(each) for each in EVERY},
    }


def _of(field: Field) -> dict[str, Any]:
    return {**_kind(field), "description": field.meaning}


def _kind(field: Field) -> dict[str, Any]:
    if field.name in _OTHER:
        return _OTHER[field.name]
    if field.kind == "attempts":
        attempt = {"type": "object", "required": list(_ATTEMPT), "properties": _ATTEMPT}
        return {"type": "array", "items": attempt}
    return _KINDS[field.kind]
