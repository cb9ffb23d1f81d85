"""The fields of an access log line, version 2: their order, what nginx writes into each, and what
it means. nginx's log formats, njs/line.js and the table in docs/log.md come from here; what reads a
line is in ledger/line.py. Why it looks like this: docs/decisions/025-the-log-line.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

VERSION = 2

FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"


class Field(NamedTuple):
    """value: nginx's variable, "" for what is put together here. kind: text is escaped
    by nginx; plain and tokens are JSON already, and tokens may be null."""

    name: str
    value: str
    kind: Literal["text", "some", "plain", "tokens", "attempts"]
    meaning: str


FIELDS = (
    Field("ts", "msec", "plain", "When it ended, Unix seconds"),
    Field(
        "status",
        "ig_status",
        "plain",
        "HTTP status; 499 where the client left, 0 for none",
    ),
    Field("ip", "remote_addr", "text", "The client's address"),
    Field("v", "", "plain", "Version of the line"),
    Field("id", "ig_request_id", "text", "`x-infergate-request-id` of the answer"),
    Field("method", "request_method", "text", "HTTP method"),
    Field("uri", "ig_uri", "text", "Path, without the query"),
    Field("key", "ig_key", "text", "Public id of the caller's key"),
    Field(
        "error",
        "ig_error_told",
        "text",
        "Code of the error the gateway answered; `client_left` with 499",
    ),
    Field("time", "time_iso8601", "text", "`ts` in ISO 8601, in the gateway's time zone"),
    Field(
        "model_asked",
        "ig_model_asked",
        "text",
        "The model as the client wrote it: also one that is unknown or forbidden; at most 256 "
        "characters",
    ),
    Field(
        "gen_ai.request.model",
        "ig_model",
        "text",
        "The model it went to, after alias, canary and fallback",
    ),
    Field("backend", "ig_backend", "text", "The backend that had it last"),
    Field(
        "attempts",
        "",
        "attempts",
        "What was sent to backends, in order: `backend`, `address`, `status`, `header_time`, "
        "`response_time` each",
    ),
    Field(
        "gen_ai.usage.input_tokens",
        "ig_input_tokens",
        "tokens",
        "Tokens of the prompt, the cached ones too",
    ),
    Field("gen_ai.usage.output_tokens", "ig_output_tokens", "tokens", "Tokens of the answer"),
    Field(
        "gen_ai.usage.cache_read.input_tokens",
        "ig_cached_tokens",
        "tokens",
        "Tokens of the prompt that were in the backend's cache",
    ),
    Field(
        "tokens_estimated",
        "ig_tokens_estimated",
        "tokens",
        "Whether the gateway counted them itself",
    ),
    Field("request_time", "request_time", "plain", "From the first byte to the last, seconds"),
    Field(
        FIRST_CHUNK,
        "ig_first_chunk",
        "tokens",
        "From the request's first byte to the first piece of a streamed answer's body, seconds",
    ),
    Field("queue_ms", "ig_queue_ms", "plain", "Of that in the queue, milliseconds"),
    Field("request_length", "request_length", "plain", "Bytes of the request"),
    Field("bytes_sent", "bytes_sent", "plain", "Bytes of the answer"),
    Field("completed", "ig_completed", "plain", "Whether the answer went out to its end"),
    Field("why", "ig_why", "text", "Scores, waits and failures, in order"),
    Field("request_id", "ig_own_id", "text", "The client's own `x-request-id`"),
    Field("user_agent", "ig_user_agent", "text", "The client's `user-agent`"),
    Field("protocol", "server_protocol", "text", "HTTP/1.0, HTTP/1.1, HTTP/2.0; as it came"),
    Field("referer", "ig_referer", "text", "The page that it came from, without its query"),
    Field(
        "forwarded_for",
        "ig_forwarded_for",
        "text",
        "`x-forwarded-for` as it came: whom it names may be made up, `ip` is whom we believe",
    ),
)
"""ts, status, ip and v come first: fail2ban finds them there (bans/fail2ban.py)."""

ADDED = frozenset((FIRST_CHUNK,))
"""Those that lines of this version did not have from its beginning."""

DEPRECATED = Field(
    "deprecated",
    "ig_deprecation",
    "text",
    "The answer's `deprecation`, `@` and Unix seconds, where `model_asked` goes away; where a "
    "model has `deprecated`",
)
CACHE = Field("cache", "ig_cached", "text", "HIT, MISS, EXPIRED, BYPASS; where a model has `cache`")
SERVICE = Field(
    "service", "ig_service", "text", "The web service next to the models that it was for"
)
PARENT = Field(
    "parent",
    "ig_parent",
    "some",
    "The request that it was asked for by the API tier: its `id`, a batch's, or that of a response "
    "in the background; of no other requests",
)
HANDED = Field(
    "tier",
    "ig_handed",
    "some",
    "Why the API tier had it: dialect, body, endpoint, continue or guard; of no other requests. "
    "What it used is in the lines that have its `id` as `parent`",
)
BLOCKED = Field(
    "blocked",
    "ig_blocked",
    "some",
    "What a guardrail refused: its name, deny, pii, judge or unseen, requests or answers, with "
    "dots between. Of requests whose `tier` is guard",
)
TRACE = (
    Field("trace_id", "ig_trace_id", "text", "The trace, in hex; where `tracing` is configured"),
    Field("span_id", "ig_span_id", "text", "The request's own span in it"),
    Field("parent_span_id", "ig_parent_id", "text", "The client's span, by its `traceparent`"),
)
"""OpenTelemetry's names."""

EVERY = (*FIELDS, DEPRECATED, CACHE, *TRACE, SERVICE, PARENT, HANDED, BLOCKED)
"""Whatever a line may have."""

_CHARACTER = (
    r"[\xc2-\xdf][\x80-\xbf]"
    r"|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    r"|\xf0[\x90-\xbf][\x80-\xbf]{2}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
)
"""Of two bytes or more (RFC 3629, 4)."""

NO_UTF_8 = (
    rf"(?:(?!{_CHARACTER})[\xc0-\xff]"
    r"|(?<![\xc2-\xf4])(?<![\xe0-\xf4][\x80-\xbf])(?<![\xf0-\xf4][\x80-\xbf]{2})[\x80-\xbf])"
)
"""The first byte of a text that is no UTF-8, as a regular expression of bytes, behind a lazy look
at all before it: a byte that begins no character, or goes on with none. nginx's escape=json lets
bytes of 0x80 and above pass as a client wrote them. It needs no stack, however long the text, and
no possessive quantifier, at which gixy breaks off."""

ANSWERED = (
    200, 201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308,
    400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 413, 415, 422, 424, 429, 431, 451,
    500, 501, 503, 505, 507, 529,
)  # fmt: skip
"""Statuses that a backend said; others are rare, and may be nginx's own."""

UNANSWERED = (499, 502, 504)
"""Statuses that nginx may have said in its place: then times are missing."""

_NO_TOKENS = {
    "gen_ai.usage.input_tokens": "null",
    "gen_ai.usage.output_tokens": "null",
    "gen_ai.usage.cache_read.input_tokens": "null",
    "tokens_estimated": "false",
}
_NO_MODEL = {
    **_NO_TOKENS,
    **dict.fromkeys(("model_asked", "gen_ai.request.model", "backend", "why"), '""'),
    "queue_ms": "0",
    FIRST_CHUNK: "null",
}
_KEPT = {
    **_NO_TOKENS,
    **dict.fromkeys(("error", "backend", "why"), '""'),
    "queue_ms": "0",
    FIRST_CHUNK: "null",
}


class Has(NamedTuple):
    """What the configuration has that a line tells of. deprecates: a name that goes away. keeps: a
    model has a cache. traces: there is `tracing`."""

    deprecates: bool
    keeps: bool
    traces: bool


def fields(has: Has, more: Sequence[Field] = ()) -> tuple[Field, ...]:
    """more: of some lines alone."""
    found = [*FIELDS, *([DEPRECATED] * has.deprecates), *([CACHE] * has.keeps)]
    return (*found, *(TRACE * has.traces), *more)


def log_formats(has: Has, *, services: bool, hedges: bool, tier: bool) -> dict[str, list[str]]:
    """nginx's log formats by name: pieces with escape=json. Each is for what a condition of
    templates/maps.conf.j2 says; so what is known then is written without a variable, which costs
    every request 250 to 700 instructions. Hence those of its own of what the API tier asks.
    """
    found = _of_models("infergate", (), has, hedges=hedges)
    if tier:
        found |= _of_models("inner", (PARENT,), has, hedges=hedges)
        outer = (HANDED, BLOCKED)
        found["handed"] = _pieces(fields(has, outer), "", _NO_TOKENS)
        found["inner_handed"] = _pieces(fields(has, (PARENT, *outer)), "", _NO_TOKENS)
    if services:
        its = fields(has._replace(deprecates=False), (SERVICE,))
        once = _attempt("$ig_service", "$upstream_addr", "upstream")
        last = _attempt("$ig_service", "$ig_last_address", "ig_last")
        for name, over in (("service", []), ("websocket", ["$ig_over"])):
            found[f"infergate_{name}"] = over + _pieces(its, "", _NO_MODEL)
            found[f"infergate_{name}_once"] = over + _pieces(its, once, {**_NO_MODEL, **_ANSWERED})
            found[f"infergate_{name}_last"] = over + _pieces(its, last, _NO_MODEL)
    return found


_ANSWERED: Mapping[str, str] = {"status": "$status", "error": '"$ig_error"'}
"""No 000 and 009, and the client was there."""


def _of_models(
    prefix: str, more: Sequence[Field], has: Has, *, hedges: bool
) -> dict[str, list[str]]:
    models = fields(has, more)
    # What is asked next to a late one is asked through a socket of ours.
    address = "$ig_address" if hedges else "$upstream_addr"
    once = _attempt("$ig_backend", address, "upstream")
    last = _attempt("$ig_backend", "$ig_last_address", "ig_last")
    found = {
        prefix: _pieces(models, "", _NO_TOKENS),
        f"{prefix}_once": _pieces(models, once, _ANSWERED),
        f"{prefix}_last": _pieces(models, last, {}),
    }
    if has.keeps:
        hit = {**_KEPT, **_ANSWERED, "cache": '"HIT"'}
        found[f"{prefix}_hit"] = _pieces(models, "", hit)
    return found


def _pieces(which: Sequence[Field], attempts: str, known: Mapping[str, str]) -> list[str]:
    known = {"v": str(VERSION), "attempts": f"[{attempts}]", **known}
    first, *rest = (f'"{each.name}":{known.get(each.name) or _variable(each)}' for each in which)
    return ["{" + first, *(f",{each}" for each in rest), "}"]


def _variable(field: Field) -> str:
    return f'"${field.value}"' if field.kind in ("text", "some") else f"${field.value}"


def _attempt(name: str, address: str, prefix: str) -> str:
    times = ",".join(f'"{each}_time":${prefix}_{each}_time' for each in ("header", "response"))
    return f'{{"backend":"{name}","address":"{address}","status":${prefix}_status,{times}}}'


def for_njs(has: Has, *, tier: bool) -> list[list[str]]:
    """The fields for njs/line.js: name, nginx's variable, kind."""
    which = fields(has, (PARENT, HANDED, BLOCKED) * tier)
    return [[each.name, each.value, each.kind] for each in which]


def documented() -> Iterator[str]:
    """The rows of docs/log.md."""
    for each in EVERY:
        yield f"| `{each.name}` | {_TYPE.get(each.name, 'text')} | {each.meaning} |"


_TYPE = {
    **{each.name: "number" for each in FIELDS if each.kind == "plain"},
    **{each.name: "number or null" for each in FIELDS if each.kind == "tokens"},
    "attempts": "list",
    "completed": "true or false",
    "tokens_estimated": "true or false",
}
