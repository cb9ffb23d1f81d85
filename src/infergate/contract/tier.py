"""What a request lends the API tier: a token that stands for its caller (njs/lent.js)."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Lent(IntEnum):
    """The places of an entry of the zone `lent`, under its token. KEY: that of the zone `keys`.
    PARENT: the request's id. CLIENT: the address that it came from. PLACE: its class in the queue
    instead of the key's own; not there where it is that."""

    KEY = 0
    PARENT = 1
    CLIENT = 2
    PLACE = 3


class Token(StrEnum):
    """How one begins: no key does."""

    PREFIX = "igt-"


class Handed(StrEnum):
    """Why the API tier has a request: `tier` in the log. DIALECT: to be translated. BODY: to be
    unpacked. ENDPOINT: it is for one of the operator's own."""

    DIALECT = "dialect"
    BODY = "body"
    ENDPOINT = "endpoint"


KEPT_PREFIX = "resp_ig_"
"""How the ids of responses begin that are kept here; a backend's own do not. nginx/tier.py has the
location of these."""

CODINGS = ("gzip", "x-gzip", "zstd")
"""Of a request's body: what it unpacks (api/unpack.py)."""

SETTINGS_FILE = "api.json"
"""Of a revision: what its processes are started with. nginx/tier.py writes it, for
supervise/tier_settings.py."""
