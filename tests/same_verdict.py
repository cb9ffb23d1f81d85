"""Any body and any headers, both ways, on both engines: one verdict.

Two gateways, one on each engine, have one model under two names: `fast` takes the short way, `slow`
the long one, because it has timeouts of its own. A request is sent to all four; what differs is
said with its body.
"""

from __future__ import annotations

import gzip
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import strategies as st

from tests.access_log import tokens
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
api: {{}}
backends: {{ a: {{ url: {a}, engine: vllm }} }}
models:
  fast: {{ backends: [a], upstream_name: real }}
  slow: {{ backends: [a], upstream_name: real, timeouts: {{ first_byte: 100s }} }}
"""
NAME = b"NAME"
"""Stands in a body for the model; both names have as many letters."""

NAMES = (b"fast", b"slow")
LOGGED = ("status", "method", "uri", "backend", "error", "queue_ms", "completed", "user_agent")
"""What a line of the log must have the same; times and why it went where it did may differ."""

ONCE = b"proxy-authorization"
"""Told twice, newer nginx refuses it while it reads the head; 1.26 leaves that to our program."""


@dataclass(frozen=True)
class Sent:
    """One request. headers: without a key. limited: 0, 1 for the key with a rate of tokens, 2 for
    the one with a maximum too. coded: sent in gzip, which the API tier unpacks."""

    path: str
    body: bytes
    headers: Sequence[tuple[bytes, bytes]]
    limited: int
    chunked: bool
    coded: bool = False

    @property
    def may_be_refused_unread(self) -> bool:
        """Whether one of the engines reads no header behind the one that it refuses: what is told
        there, such as the User-Agent, it cannot log, and the other can."""
        return [name.lower() for name, _ in self.headers].count(ONCE) > 1


@dataclass
class Four:
    """The gateways, and what was sent to them, by the ids that each of the four got."""

    gateways: list[Gateway]
    backends: list[Scripted]
    keys: list[list[str]]
    """Of each gateway: without limits, with a rate, with a maximum too."""
    client: httpx.Client
    seen: list[tuple[Sent, list[str]]] = field(default_factory=list)

    def send(self, sent: Sent) -> None:
        answers, ids = [], []
        for it, keys in zip(self.gateways, self.keys, strict=True):
            key = keys[sent.limited]
            for name in NAMES:
                ids.append(uuid.uuid4().hex)
                body = sent.body.replace(NAME, name)
                coding = []
                if sent.coded:
                    body, coding = gzip.compress(body, mtime=0), [(b"Content-Encoding", b"gzip")]
                answer = self.client.post(
                    it.url + sent.path,
                    content=iter([body]) if sent.chunked else body,
                    headers=[
                        (b"Authorization", f"Bearer {key}".encode()),
                        (b"X-Request-Id", ids[-1].encode()),
                        *sent.headers,
                        *coding,
                    ],
                )
                answers.append(_verdict(answer, name))
        self.seen.append((sent, ids))
        assert all(answer[0] < 500 for answer in answers), (sent, answers)
        assert answers[0] == answers[1], (sent, answers[:2])
        assert answers[2] == answers[3], (sent, answers[2:])
        # njs's words for a body that is no JSON are another engine's.
        assert answers[0][:3] == answers[2][:3], (sent, answers[0], answers[2])

    def compare(self) -> None:
        """What reached the backends, and the lines of the log."""
        bodies, lines = {}, {}
        sent_as = {each: sent for sent, ids in self.seen for each in ids}
        for it, a in zip(self.gateways, self.backends, strict=True):
            for each in a.requests("/"):
                headers = dict(each["headers"])
                request_id = headers.pop("x-request-id", "")
                headers.pop("host", None)
                body = each["body"].replace("fast", "NAME").replace("slow", "NAME")
                bodies[request_id] = (each["path"], body, headers)
            for line in _log(it, self.seen[-1][1][-1] if it is self.gateways[-1] else None):
                sent = sent_as.get(line["request_id"])
                if sent and sent.may_be_refused_unread and line["status"] == 400:
                    line["user_agent"] = "perhaps unread"
                lines[_named(line)] = (
                    *(line[name] for name in LOGGED),
                    tokens(line),
                    [(each["backend"], each["status"]) for each in line["attempts"]],
                    line["gen_ai.request.model"] in ("fast", "slow"),
                    # Bodies have either name, or one of their own.
                    line["model_asked"].replace("slow", "fast"),
                )
        for sent, ids in self.seen:
            assert len({repr(bodies.get(each)) for each in ids}) == 1, (
                sent,
                [bodies.get(each) for each in ids],
            )
            assert len({repr(lines[each]) for each in ids}) == 1, (sent, [lines[i] for i in ids])
            inner = [lines.get(each + _INNER) for each in ids]
            assert len(set(map(repr, inner))) == 1, (sent, inner)


_INNER = "/inner"


def _named(line: dict[str, Any]) -> str:
    """The request's id. What the API tier asked in its name has the same one, and a line of its
    own."""
    return str(line["request_id"]) + (_INNER if line.get("parent") else "")


def _verdict(answer: httpx.Response, name: bytes) -> tuple[Any, ...]:
    """Status, code and param of the error, and the text without what is the request's own."""
    own = answer.headers.get("x-infergate-request-id", "no id")
    text = answer.text.replace(own, "ID").replace(name.decode(), "NAME")
    try:
        error = json.loads(text).get("error")
    except ValueError:
        error = None
    if not isinstance(error, dict):
        return (answer.status_code, None, None, text)
    return (answer.status_code, error.get("code"), error.get("param"), text)


def _log(it: Gateway, last: str | None) -> list[dict[str, Any]]:
    path = it.home / "logs" / "access.log"

    def text() -> str:
        return path.read_text()

    deadline = time.monotonic() + 10
    while last is not None and last not in text() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.3)
    return [json.loads(line) for line in text().split("\n") if line]


@contextmanager
def four() -> Iterator[Four]:
    """Both gateways, up."""
    with ExitStack() as stack:
        backends = [stack.enter_context(scripted(name="a", models=("real",))) for _ in range(2)]
        gateways = [
            stack.enter_context(gateway(engine, CONFIG.format(a=a.url)))
            for engine, a in zip(("embedded", "debian"), backends, strict=True)
        ]
        rate = ("--tpm", "1000000000", "--rpm", "1000000")
        most = ("--max-tokens", "100", "--max-prompt-bytes", "9000", *rate)
        keys = [[it.key, it.new_key("rate", *rate), it.new_key("most", *most)] for it in gateways]
        client = stack.enter_context(httpx.Client(timeout=30))
        yield Four(gateways, backends, keys, client)


PATHS = st.sampled_from(
    ["/v1/chat/completions"] * 4
    + ["/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages", "/tokenize"]
)
QUERIES = st.sampled_from([""] * 6 + ["?beta=true", "?model=other", "?api-version=1&x=y"])
_NAMES = st.sampled_from(
    (
        b"Content-Type Accept Accept-Encoding User-Agent Cache-Control Cookie x-session-id"
        b" X-Forwarded-For TE x-api-key Content-Encoding Expect-CT Upgrade anthropic-version"
        b" Proxy-Authorization Via If-Match Range Accept-Language X-Real-IP"
        b" Origin Referer traceparent tracestate baggage Idempotency-Key OpenAI-Organization Prefer"
        b" X-HTTP-Method-Override X-Original-URL Sec-Fetch-Site Content-MD5 Content-Language Digest"
        b" x-infergate-model x-infergate-backend x-infergate-hedge X-Accel-Redirect Forwarded"
        b" Remote-User X-Forwarded-Proto X-Forwarded-Host Priority anthropic-beta If-None-Match"
    ).split()
)
_VALUES = st.sampled_from(
    [
        b"",
        b"application/json",
        b"text/html",
        b"gzip",
        b"identity",
        b"no-cache",
        b"trailers",
        b"\xe9",
        b"Basic eA==",
        b'Digest a="b", c="d", e=f',
        b"a, b",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"https://evil.test",
        b"a\tb",
        b"v" * 5000,
        b"\xf0\x9f\x98\x80",
        b"text/html,application/xhtml+xml",
        b"application/json; charset=utf-16",
        b"APPLICATION/JSON;x",
        b"multipart/form-data; boundary=x",
        b"2026-10-21",
    ]
) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(str.encode)
HEADERS = st.lists(
    st.tuples(_NAMES, st.lists(_VALUES, min_size=1, max_size=2)),
    max_size=3,
    unique_by=lambda it: it[0],
).map(lambda headers: [(name, value) for name, values in headers for value in values])
"""Some told twice, some in bytes that are no text."""

_TEXTS = st.sampled_from(
    [
        "",
        "x",
        "hi",
        "0.7",
        "100",
        "-1",
        "é\U0001f600",
        "model",
        '"model":"x"',
        "@0",
        "\\u006d",
        "ab" * 200,
    ]
) | st.text(max_size=20)
_LONG = st.builds(lambda text, n: text + "y" * n, _TEXTS, st.sampled_from([257, 4000, 5000, 9000]))
_NUMBERS = st.sampled_from([0, 1, -1, 2, 7, 100, 101, 128, 129, 1e12, 1.0, 1.5, 0.7, -2, 1e300])
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXTS
_ANY = st.recursive(
    _SCALARS | _LONG,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["model", "type", "text", "x", "role"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
_PARTS = st.lists(
    st.sampled_from(
        [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "d"}}]
    )
    | _ANY,
    max_size=3,
) | st.just([{"type": "image_url", "image_url": {"url": "d"}}] * 101)
_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "robot"]) | _SCALARS},
        optional={"content": _TEXTS | _LONG | _PARTS | _ANY},
    )
    | _ANY,
    max_size=4,
)
_KEYS = [
    *"max_tokens max_completion_tokens max_output_tokens n_predict n best_of seed".split(),
    *"temperature top_p stop logprobs top_logprobs logit_bias stream_options stream".split(),
    *"tools user input prompt priority options presence_penalty prompt_logprobs x".split(),
    *("Model", "MAX_TOKENS", "N", "model\0", "max_token\u017f"),
]


_NO_VALUES = st.sampled_from(
    "-Infinity Infinity +Infinity NaN -NaN 01 -01 1. .5 -.5 +1 1e 1e999 -1e999 0x1f undefined tru"
    " [1,] {,} '' '\"\\ud800\"' [-Infinity] {\"a\":[+Infinity]} - --1 -".split()
)
"""What one parser takes for a value, and another does not."""


@st.composite
def _members(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Keys and values as JSON texts, in any order, perhaps twice."""
    members = [('"model"', '"NAME"')]
    if draw(st.booleans()):
        members.append(('"messages"', json.dumps(draw(_MESSAGES))))
    for key in draw(st.lists(st.sampled_from(_KEYS), max_size=4)):
        ascii_only = draw(st.booleans())
        value = json.dumps(draw(_ANY), ensure_ascii=ascii_only)
        members.append(
            (json.dumps(key), draw(_NO_VALUES) if draw(st.integers(0, 9)) == 0 else value)
        )
    if draw(st.integers(0, 9)) == 0:
        members.append(draw(st.sampled_from(members)))
    if draw(st.integers(0, 3)) == 0:
        members.append(('"pad"', '"' + "z" * draw(st.sampled_from([300, 4000, 5000])) + '"'))
    return draw(st.permutations(members))


_ODD = st.sampled_from(
    [
        *(b"01 1. .5 +1 \xff \x00 \x01 \\u0000 \\u006d \\ { } ] , // \xef\xbb\xbf".split(b" ")),
        *(b"-Infinity +Infinity Infinity NaN 1e999".split(b" ")),
        *(b"\xed\xa0\x80", b"\xe2\x80\xa8", b'"model":"x",', b'"', b"\n", b""),
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body as a client writes it, often with one thing wrong."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=50))
    colon, comma = draw(st.sampled_from([(":", ","), (": ", ", "), (" :\n", "\t, ")]))
    members = draw(_members())
    text = "{" + comma.join(key + colon + value for key, value in members) + "}"
    body = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(_ODD) + body[at + draw(st.integers(0, 2)) :]
    return body


def requests() -> st.SearchStrategy[Sent]:
    paths = st.builds(lambda path, query: path + query, PATHS, QUERIES)
    coded = st.integers(0, 9).map(lambda n: n > 7)
    return st.builds(Sent, paths, bodies(), HEADERS, st.integers(0, 2), st.booleans(), coded)
