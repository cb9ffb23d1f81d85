"""What a request lends the API tier: a token that stands for its caller (njs/lent.js)."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Lent(IntEnum):
    """The places of an entry of the zone `lent`, under its token. KEY: that of the zone `keys`.
    PARENT: the request's id. CLIENT: the address that it came from. PLACE: its class in the queue
    instead of the key's own; not there, or null, where it is that. GUARDED: the guardrails that it
    passed, with a space before and after each; not there for none."""

    KEY = 0
    PARENT = 1
    CLIENT = 2
    PLACE = 3
    GUARDED = 4


class Token(StrEnum):
    """How one begins: no key does."""

    PREFIX = "igt-"


class Handed(StrEnum):
    """Why the API tier has a request: `tier` in the log. DIALECT: to be translated. BODY: to be
    unpacked. ENDPOINT: it is for one of the operator's own. CONTINUE: to be gone on with where its
    backend breaks off. GUARD: guardrails have to look."""

    DIALECT = "dialect"
    BODY = "body"
    ENDPOINT = "endpoint"
    CONTINUE = "continue"
    GUARD = "guard"


class Continuing(StrEnum):
    """How the tier asks for a stream that it may go on with, in the HEADER of its request: ANEW, as
    the client does, or so that the backend CONTINUES the text that the body ends with. Behind it
    the backends that broke off, each followed by a comma. SERVED_BY: a header of the answer."""

    HEADER = "x-infergate-again"
    ANEW = "-"
    CONTINUES = "+"
    SERVED_BY = "x-infergate-served-by"


GUARDED = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/score")
"""Which endpoints guardrails can look through (api/guard/); what is translated comes to one of
them. Others are refused where a model or key has any."""

BLOCKED_HEADER, BLOCKED_MARK = "x-infergate-blocked", ": infergate-blocked "
"""What a guardrail refused, for the log: the first of an answer that had not begun, the second at
the beginning of a stream's last piece. No client sees either."""


KEPT_PREFIX = "resp_ig_"
"""How the ids of responses begin that are kept here; a backend's own do not. nginx/tier.py has the
location of these."""

CODINGS = ("gzip", "x-gzip", "zstd")
"""Of a request's body: what it unpacks (api/unpack.py)."""

SETTINGS_FILE = "api.json"
"""Of a revision: what its processes are started with. nginx/tier.py writes it, for
supervise/tier_settings.py."""
