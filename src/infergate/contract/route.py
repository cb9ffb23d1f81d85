"""A route: a list in JSON (state/route.py writes it, njs/route.js describes and reads it)."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Route(IntEnum):
    """Its places. BACKENDS: one for all where they are alike; NAMES: of the backends, or 0.
    OPTIONS: 0 for none. PACE: ms for a token, not there where nobody knows."""

    MODEL = 0
    BALANCE = 1
    BACKENDS = 2
    OPTIONS = 3
    NAMES = 4
    PACE = 5


class RouteBackend(IntEnum):
    """The places of a backend in it. MAX_IN_FLIGHT: 0 for any. UPSTREAM_NAME: "" for the model's
    own. RELAY: "" for the usual location. PRIORITY: not there for those that are asked first."""

    NAME = 0
    WEIGHT = 1
    MAX_IN_FLIGHT = 2
    UPSTREAM_NAME = 3
    FLAGS = 4
    RELAY = 5
    PRIORITY = 6


class BackendFlag(StrEnum):
    """Its flags, besides the letter of its kind (kinds/). COLD: the model is not in its memory.
    PRIORITY: it is told the request's. USAGE: it understands stream_options. ANTHROPIC: it is
    Anthropic's own. OLLAMA: that kind's letter, which decides where an answer's length is read."""

    COLD = "c"
    PRIORITY = "p"
    USAGE = "u"
    ANTHROPIC = "h"
    OLLAMA = "o"


class Bucket(IntEnum):
    """The places of a bucket of limits. NAME: KEY, MODEL or GATEWAY, and behind it whose."""

    NAME = 0
    REQUESTS = 1
    TOKENS = 2
    CONCURRENT = 3


class BucketOf(StrEnum):
    """How a bucket's name begins, by whose it is."""

    KEY = "k "
    MODEL = "m "
    GATEWAY = "g"


class QueueOption(IntEnum):
    """The places of the option `queue`; times in ms."""

    LENGTH = 0
    PATIENCE = 1
    AGEING = 2


class RetriesOption(IntEnum):
    """The places of the option `retries`. HELD_FROM: bytes, or null for never (nginx/relays.py)."""

    ATTEMPTS = 0
    BUDGET = 1
    HELD_FROM = 2


class CacheOption(IntEnum):
    """The places of the option `cache`. TTL: ms. WHO_ANSWERS: see nginx/keeping.py."""

    TTL = 0
    SHARED = 1
    COMPLETIONS = 2
    WHO_ANSWERS = 3


class ShadowOption(IntEnum):
    """The places of the option `shadow`. UPSTREAM_NAME: "" for the model's own."""

    BACKEND = 0
    PERCENT = 1
    UPSTREAM_NAME = 2


class CanaryOption(IntEnum):
    """The places of the option `canary`."""

    MODEL = 0
    PERCENT = 1


class GoneOption(IntEnum):
    """The places of the option `gone`, of a name that goes away. FROM: ms, from when it is refused.
    SAYS: what is told then, behind the name."""

    FROM = 0
    SAYS = 1


class Param(IntEnum):
    """The places of one of the option `params`. VALUE: JSON, null where the key is taken out.
    MISSING: 1 if only where the client says nothing."""

    NAME = 0
    VALUE = 1
    MISSING = 2


class Ladder(IntEnum):
    """The places of a ladder of timeouts. SAID: 1 if the first byte's time is the operator's word.
    MOST: ms that a request may get, 0 for no ladder."""

    SAID = 0
    MOST = 1
