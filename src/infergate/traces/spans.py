"""The spans of one request, made of its line of the access log. Pure: no I/O.

The gateway's own span has the queue's and the attempts' as children. nginx told each backend the id
of its attempt (templates/maps.conf.j2), so an engine's own spans hang below that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infergate.config import endpoints
from infergate.config.tracing import Tracing
from infergate.nginx.access_line import FIRST_CHUNK
from infergate.nginx.sampling import is_sampled

Value = str | int | float | bool

_NS = 1_000_000_000
_ATTEMPTS = "123456789a"
"""How an attempt's id ends, behind the first 15 digits of the request's; its own ends with 0."""
_QUEUE = "f"
_LONGEST_TEXT = 1024


@dataclass(frozen=True)
class Span:
    """start_ns, end_ns: since 1970. error: why it failed; "" if it did not."""

    name: str
    kind: Literal["server", "client", "internal"]
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    error: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)


def is_kept(entry: Mapping[str, Any], tracing: Tracing) -> bool:
    """What failed in us or behind us, or was slow, and a share of the rest. A client's own mistakes
    (4xx) are of the rest: else anybody could fill the receiver with them."""
    return (
        bool(_error(entry))
        or any((each["status"] or 500) >= 500 for each in entry["attempts"])
        or entry["request_time"] >= tracing.slow
        or is_sampled(entry["trace_id"], tracing.sample)
    )


def spans_of(entry: Mapping[str, Any]) -> list[Span]:
    """entry: the fields of a line. Raises LookupError, TypeError or ValueError where it is none of
    a gateway with `tracing`."""
    trace_id, span_id = _hex(entry["trace_id"], 32), _hex(entry["span_id"], 16)
    parent_id = entry["parent_span_id"] and _hex(entry["parent_span_id"], 16)
    end_ns = round(entry["ts"] * _NS)
    start_ns = end_ns - round(entry["request_time"] * _NS)
    stem = span_id[:15]
    found = [
        Span(
            _name(entry),
            "server",
            trace_id,
            span_id,
            parent_id,
            start_ns,
            end_ns,
            _error(entry),
            dict(_attributes(entry)),
        )
    ]
    queued_ns = min(entry["queue_ms"] * 1_000_000, end_ns - start_ns)
    if queued_ns:
        # Waits between attempts are added to it: the log has their sum.
        waited_ns = start_ns + queued_ns
        found.append(
            Span("queue", "internal", trace_id, stem + _QUEUE, span_id, start_ns, waited_ns)
        )
    found += _attempts(entry, trace_id, span_id, start_ns + queued_ns, end_ns)
    return found


def _attempts(
    entry: Mapping[str, Any], trace_id: str, span_id: str, start_ns: int, end_ns: int
) -> list[Span]:
    """One behind the other, the last to the end: the log has how long each took, not when."""
    found: list[Span] = []
    attempts = entry["attempts"][: len(_ATTEMPTS)]
    for index, each in reversed(list(enumerate(attempts))):
        took_s = each["response_time"]
        began_ns = start_ns if took_s is None else max(start_ns, end_ns - round(took_s * _NS))
        if took_s is None and index > 0:
            began_ns = end_ns  # how long is not known; those before it had the time
        status = each["status"]
        about: dict[str, Value] = {"infergate.backend": each["backend"]}
        if each["address"]:
            about["server.address"] = each["address"]
        if status is not None:
            about["http.response.status_code"] = status
        if each["header_time"] is not None:
            about["infergate.header_time"] = float(each["header_time"])
        model = entry["gen_ai.request.model"]
        if model and index == len(attempts) - 1:
            about["gen_ai.request.model"] = model
        error = "" if status is not None and status < 400 else str(status or "no answer")
        found.append(
            Span(
                f"attempt {each['backend']}",
                "client",
                trace_id,
                span_id[:15] + _ATTEMPTS[index],
                span_id,
                began_ns,
                end_ns,
                error,
                about,
            )
        )
        end_ns = began_ns
    return found[::-1]


def _name(entry: Mapping[str, Any]) -> str:
    # OpenTelemetry wants few names: a path only where we know it.
    path = entry["uri"]
    return f"{entry['method']} {path}" if path in endpoints.PATHS else str(entry["method"])


def _error(entry: Mapping[str, Any]) -> str:
    status = entry["status"]
    if status == 0 or status >= 499:
        return str(entry["error"] or status)
    return "" if entry["completed"] else "incomplete"


_NAMES = {
    "method": "http.request.method",
    "uri": "url.path",
    "status": "http.response.status_code",
    "ip": "client.address",
    "user_agent": "user_agent.original",
    "gen_ai.request.model": "gen_ai.request.model",
    "gen_ai.usage.input_tokens": "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens": "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "gen_ai.usage.cache_read.input_tokens",
    FIRST_CHUNK: FIRST_CHUNK,
    "error": "error.type",
    "id": "infergate.request.id",
    "key": "infergate.key",
    "model_asked": "infergate.model_asked",
    "service": "infergate.service",
    "cache": "infergate.cache",
    "tokens_estimated": "infergate.tokens_estimated",
    "why": "infergate.why",
}
"""Fields of the log line, as OpenTelemetry calls them."""


def _attributes(entry: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    for field_, name in _NAMES.items():
        value = entry.get(field_)
        if isinstance(value, str):
            value = value[:_LONGEST_TEXT]
        if value not in ("", None) and isinstance(value, Value):
            yield name, value


def _hex(value: str, digits: int) -> str:
    if len(value) != digits or int(value, 16) == 0:
        raise ValueError(f"{value!r} is no id of {digits} digits")
    return value
