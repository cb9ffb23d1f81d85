"""A key's policy: one text of lines (state/policy.py writes it, njs/policy.js reads it)."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class PolicyLine(IntEnum):
    """The lines. EXPIRY: Unix seconds. MODELS, with a tab before and after each; SERVICES, with a
    space: a tab would make models of them. NETWORKS: "!" before those that are denied. BLOCK: the
    budget that is used up, and when it is filled again. HELD: whether a budget or a team is.
    GUARDRAILS: their names, with a space between them."""

    FLAGS = 0
    NAME = 1
    EXPIRY = 2
    MODELS = 3
    NUMBERS = 4
    NETWORKS = 5
    BLOCK = 6
    TENANT = 7
    SERVICES = 8
    HELD = 9
    GUARDRAILS = 10


class PolicyNumber(IntEnum):
    """What stands in the line of numbers, 0 for no limit. PLACE: the class in the queue."""

    REQUESTS = 0
    TOKENS = 1
    CONCURRENT = 2
    BYTES = 3
    MAX_TOKENS = 4
    PLACE = 5
    WEIGHT = 6


class PolicyFlag(StrEnum):
    """Which of the later lines a request has to look at: most need none. PLACED: not at the usual
    place in the queue. PATTERNS: among the models. BLOCKED: a budget is used up. CHOOSY: not every
    service. GUARDED: it has guardrails."""

    EXPIRES = "e"
    MANAGES = "m"
    EXPLAINED = "x"
    LIMITED = "l"
    PLACED = "q"
    NETWORKS = "i"
    PATTERNS = "g"
    BLOCKED = "b"
    CHOOSY = "s"
    GUARDED = "r"
