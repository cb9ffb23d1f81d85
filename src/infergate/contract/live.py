"""What stands in shared memory while requests run, written by njs and by the control plane."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class BreakerEntry(IntEnum):
    """The places of a breaker's entry; njs/breaker.js says what they are. Times in ms."""

    IN_A_ROW = 0
    SINCE = 1
    REQUESTS = 2
    FAILURES = 3
    UNTIL = 4
    COOLDOWN = 5
    ENDPOINT = 6
    MODEL = 7
    SILENT = 8
    MODELS = 9
    OTHERS = 10
    FAILING = 11


class Against(StrEnum):
    """What stands against a backend. FAILED_UNTIL: ms follow; a request has just failed there."""

    DOWN = "down"
    DRAINED = "drained"
    FAILED_UNTIL = "until:"


class Waiting(StrEnum):
    """How keys of the zone `waiting` begin; "" has all tickets. MODEL: the tickets of one.
    SERVED: the tag that was served last. TAKES: ms that an answer takes."""

    MODEL = "n "
    SERVED = "v "
    TAKES = "d "


class EngineFact(IntEnum):
    """The places of what njs is told of an engine for balance: work, 0 for what is not known.

    HOLDS: tokens of its KV cache. READS: tokens of a prompt in a ms. DISTRUST: the part of what the
    index says that is not in its cache, 1 where it keeps no prefixes. MOVED: tokens that its
    odometer was moved on because it restarted. EVICTS: how likely it is, from 0 to 1, that another
    model has to leave its memory for one that is loaded. WAITING: prompt tokens that wait there and
    are not ours.
    """

    HOLDS = 0
    READS = 1
    DISTRUST = 2
    MOVED = 3
    EVICTS = 4
    WAITING = 5


class CountedKey(StrEnum):
    """How keys of the zone `turns` begin that are counts for the control plane."""

    HITS = "hits "
    MISSES = "misses "
    UNCOPIED = "uncopied "


class Copied(IntEnum):
    """The places of a copy for a shadow."""

    BACKEND = 0
    PATH = 1
    BODY = 2


class Score(IntEnum):
    """What is added to a backend's score so that it is taken only when there is no better one; in
    `why` they are read again. A backup is before one with an open breaker."""

    FULL = 10**6
    BACKUP = 10**7
    OPEN = 10**8
    DOWN = 10**9


class Why(StrEnum):
    """Words in `why` that the ledger counts by. ASKED_TOO: a hedge. GOES_ON: a fallback. OVER:
    a limit; what it was, and whose, stand behind it. CONTINUES: a stream, and after which backends;
    of the client's own request, CONTINUED."""

    ASKED_TOO = " too after "
    GOES_ON = "-> "
    OVER = "over "
    CONTINUES = "goes on after "
    CONTINUED = "gone on with after "
    THIS_KEY = "this API key"
    THIS_MODEL = "this model"
    THIS_GATEWAY = "this gateway"
