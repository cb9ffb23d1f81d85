"""Spans to an OTLP/HTTP receiver, encoded by OpenTelemetry's own messages (opentelemetry-proto).

Its exporter is not used: it does not tell what a receiver refuses for ever from what may be sent
again later, and waits while it tries (docs/decisions/028-logs-and-traces-for-others.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from infergate.errors import UserError
from infergate.traces.spans import Span, Value

_KINDS = {
    "server": Message.SPAN_KIND_SERVER,
    "client": Message.SPAN_KIND_CLIENT,
    "internal": Message.SPAN_KIND_INTERNAL,
}
_LATER = frozenset({401, 403, 404, 429, 502, 503, 504})
"""OTLP/HTTP, failures: the last four may be sent again. The first ones are for somebody to mend,
and what was not sent waits for that."""
_TIMEOUT_S = (5.0, 10.0)


class SpansRefused(Exception):
    """The receiver does not want these, however often they are sent."""


class Receiver:
    """Where spans go. Call `close` at the end."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], ca_file: str | None) -> None:
        path = urlsplit(endpoint).path
        self._url = endpoint if path.strip("/") else f"{endpoint.rstrip('/')}/v1/traces"
        self._session = requests.Session()
        self._session.headers.update(headers)
        self._session.headers["Content-Type"] = "application/x-protobuf"
        if ca_file is not None:
            self._session.verify = ca_file

    def send(self, spans: Iterable[Span], about: Mapping[str, Value]) -> None:
        """about: what the resource is, such as service.name.

        Raises OSError if they are to be sent again later, Refused if not.
        """
        body = encoded(spans, about)
        with self._session.post(
            self._url, data=body, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
        ) as answer:
            status = answer.status_code
        if status in _LATER:
            raise OSError(f"{self._url} answered {status}")
        if not 200 <= status < 300:
            raise SpansRefused(f"{self._url} answered {status}")

    def close(self) -> None:
        self._session.close()


def encoded(spans: Iterable[Span], about: Mapping[str, Value]) -> bytes:
    """An ExportTraceServiceRequest."""
    body: bytes = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=_pairs(about)),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(name="infergate"),
                        spans=[_message(each) for each in spans],
                    )
                ],
            )
        ]
    ).SerializeToString()
    return body


def _message(span: Span) -> Message:
    return Message(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_pairs(span.attributes),
        status=Status(code=Status.STATUS_CODE_ERROR, message=span.error) if span.error else None,
    )


def _pairs(attributes: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value.encode("utf-8", "replace").decode())


def headers_in(path: Path) -> dict[str, str]:
    """Of a file of lines `name: value`; empty ones, and those that begin with #, say nothing.

    Raises UserError where a line is none of these, or the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as problem:
        raise UserError(
            "tracing.headers_file cannot be read", where=str(path), hint="It is plain ASCII text."
        ) from problem
    found = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            name, colon, value = line.partition(":")
            if not colon or not name.strip().replace("-", "").isalnum() or not value.strip():
                raise UserError(
                    "no header", where=f"{path}:{number}", hint="Write it like `name: value`."
                )
            found[name.strip()] = value.strip()
    return found
