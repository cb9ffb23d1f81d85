"""Traces: a client's goes on to the backend, ours come to a receiver of OTLP. The receiver is a
double of ours: an HTTP server that reads OpenTelemetry's own messages (opentelemetry-proto)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.serving import serving

CHAT = "/v1/chat/completions"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm, max_in_flight: 1 }}
  b: {{ url: {b}, engine: vllm }}
models:
  m: {{ backends: [a], upstream_name: m }}
  free: {{ backends: [b], upstream_name: m }}
  falls: {{ backends: [a], upstream_name: m, fallback: [free] }}
services: {{ web: {{ url: {b}, path: /web/ }} }}
breaker: {{ failures: 1000, error_rate: 1 }}
tracing: {{ endpoint: {otlp}, headers_file: {headers}, sample: {sample}, slow: 1h }}
"""


class Receiver:
    """Takes spans. answers: a status for all; 200 at first."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.answers, self.asked = 200, 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.take(self.path, dict(self.headers), body)
                self.send_response(receiver.answers)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        assert path == "/v1/traces"
        self.asked += 1
        if self.answers != 200:
            return
        self.headers.append(headers)
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(
                {pair.key: pair.value.string_value for pair in each.resource.attributes}
            )
            for scope in each.scope_spans:
                self.spans += scope.spans

    def of(self, trace_id: str) -> list[Span]:
        return [each for each in self.spans if each.trace_id.hex() == trace_id]


@contextmanager
def receiver() -> Iterator[Receiver]:
    it = Receiver()
    with serving(it.server):
        yield it


Running = tuple[Gateway, Scripted, Scripted, Receiver]


@pytest.fixture(scope="module")
def running(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    headers = tmp_path_factory.mktemp("otlp") / "headers"
    headers.write_text("# of the receiver\nx-otlp-key: sesame\n")
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        otlp = stack.enter_context(receiver())
        config = CONFIG.format(a=a.url, b=b.url, otlp=otlp.url, headers=headers, sample=1)
        it = stack.enter_context(gateway(engine, config))
        until((it.home / "state" / "handed-on-traces.json").exists)
        yield it, a, b, otlp


@pytest.fixture
def traced(running: Running) -> Running:
    _, a, b, otlp = running
    a.reset(), b.reset()
    otlp.answers = 200
    return running


def entry(it: Gateway, answer: Any) -> dict[str, Any]:
    name = answer.headers["x-infergate-request-id"]
    return next(each for each in it.log() if each["id"] == name)


def attributes(span: Span) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes
    }


def headers_at(backend: Scripted) -> dict[str, str]:
    return {name.lower(): value for name, value in backend.requests(CHAT)[-1]["headers"].items()}


@pytest.mark.parametrize("more", [{}, {"max_tokens": 100_000}, {"stream": True}], ids=str)
def test_a_client_s_trace_goes_through_the_gateway_to_the_backend(
    traced: Running, more: dict[str, Any]
) -> None:
    it, a, _, otlp = traced
    trace = "%032x" % (int(TRACE, 16) + len(str(more)))
    told = {"traceparent": f"00-{trace}-{PARENT}-00", "tracestate": "vendor=1"}
    answer = it.post(CHAT, {"model": "m", "messages": [], **more}, headers=told)
    line = entry(it, answer)
    assert (line["trace_id"], line["parent_span_id"]) == (trace, PARENT)
    spans = until(lambda: otlp.of(trace))
    root, attempt = spans[0], spans[-1]
    assert (root.parent_span_id.hex(), root.span_id.hex()) == (PARENT, line["span_id"])
    assert (root.name, root.kind) == (f"POST {CHAT}", Span.SPAN_KIND_SERVER)
    assert (attempt.name, attempt.parent_span_id) == ("attempt a", root.span_id)
    seen = headers_at(a)
    assert seen["traceparent"] == f"00-{trace}-{attempt.span_id.hex()}-01", "ours is its parent"
    assert seen["tracestate"] == "vendor=1"
    assert root.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.end_time_unix_nano == root.end_time_unix_nano == round(line["ts"] * 1e9)
    about = attributes(root)
    assert about["gen_ai.request.model"] == "m"
    assert about["gen_ai.usage.output_tokens"] == line["gen_ai.usage.output_tokens"]
    assert about["infergate.request.id"] == line["id"]
    assert otlp.resources[-1]["service.name"] == "infergate"
    assert {name.lower(): v for name, v in otlp.headers[-1].items()}["x-otlp-key"] == "sesame"


@pytest.mark.parametrize(
    "told",
    [
        None,
        "nonsense",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
    ],
)
def test_a_request_without_a_trace_that_can_be_gets_one(traced: Running, told: str | None) -> None:
    it, a, _, otlp = traced
    headers = {"tracestate": "vendor=1", **({"traceparent": told} if told else {})}
    line = entry(it, it.post(CHAT, {"model": "m", "messages": []}, headers=headers))
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert (line["trace_id"] != TRACE, line["parent_span_id"]) == (True, "")
    seen = headers_at(a)
    assert seen["traceparent"] == f"00-{line['trace_id']}-{line['span_id'][:15]}1-01"
    assert "tracestate" not in seen, "it belongs to a traceparent"
    assert len(until(lambda: otlp.of(line["trace_id"]))) == 2


def test_each_attempt_is_a_span_of_its_own_and_the_backend_s_parent(traced: Running) -> None:
    it, a, b, otlp = traced
    a.behave(path_prefix=CHAT, status=503)
    line = entry(it, it.chat("falls"))
    root, first, second = until(lambda: otlp.of(line["trace_id"]))
    assert [first.name, second.name] == ["attempt a", "attempt b"]
    assert [each.status.code for each in (root, first, second)] == [
        Status.STATUS_CODE_UNSET,
        Status.STATUS_CODE_ERROR,
        Status.STATUS_CODE_UNSET,
    ]
    for span, backend in ((first, a), (second, b)):
        assert headers_at(backend)["traceparent"].split("-")[2] == span.span_id.hex()
    assert first.end_time_unix_nano <= second.start_time_unix_nano


def test_what_waits_in_the_queue_has_a_span_for_it(traced: Running) -> None:
    it, a, _, otlp = traced
    a.behave(path_prefix=CHAT, delay_s=1)
    one = threading.Thread(target=it.chat)
    one.start()
    until(lambda: it.backend("a").get("in_flight", 0) or a.requests(CHAT))
    answer = it.chat()
    one.join()
    lines = [each for each in it.log() if each["queue_ms"] > 0]
    assert answer.status_code == 200
    assert lines
    spans = until(lambda: otlp.of(lines[-1]["trace_id"]))
    queue = next(each for each in spans if each.name == "queue")
    took_ns = queue.end_time_unix_nano - queue.start_time_unix_nano
    assert took_ns == lines[-1]["queue_ms"] * 1_000_000
    assert queue.parent_span_id == spans[0].span_id


def test_a_service_is_traced_like_a_model(traced: Running) -> None:
    it, _, _, otlp = traced
    line = entry(it, it.get("/web/x"))
    root, attempt = until(lambda: otlp.of(line["trace_id"]))
    assert (root.name, attempt.name) == ("GET", "attempt web")
    assert attributes(root)["infergate.service"] == "web"


def test_a_receiver_that_was_away_gets_all_of_it_and_the_ledger_did_not_wait(
    traced: Running,
) -> None:
    it, _, _, otlp = traced
    before = it.run("usage").stdout
    otlp.answers, asked = 503, otlp.asked
    lines = [entry(it, it.chat("free")) for _ in range(5)]
    until(lambda: otlp.asked > asked)
    until(lambda: it.run("usage").stdout != before)
    assert not any(otlp.of(each["trace_id"]) for each in lines)
    otlp.answers = 200
    until(lambda: all(len(otlp.of(each["trace_id"])) == 2 for each in lines))


@pytest.mark.long
def test_without_a_share_only_what_failed_is_sent_and_backends_know(traced: Running) -> None:
    it, a, _, otlp = traced
    text = it.file.read_text()
    it.file.write_text(text.replace("sample: 1", "sample: 0"))
    it.run("apply")
    well = entry(it, it.chat())
    assert headers_at(a)["traceparent"].endswith("-00")
    a.behave(path_prefix=CHAT, status=500)
    failed = entry(it, it.chat())
    (root, _) = until(lambda: otlp.of(failed["trace_id"]))
    assert (root.status.code, failed["status"]) == (Status.STATUS_CODE_ERROR, 500)
    assert otlp.of(well["trace_id"]) == []
    it.file.write_text(text)
    it.run("apply")
