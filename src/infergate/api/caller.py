"""In whose name a request came, as nginx tells it: never the key itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infergate.contract.tier import Continuing, Handed

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case."""

_NEIGHBOURS = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding "
    b"upgrade host content-length content-encoding accept-encoding expect".split()
)
"""What is between two neighbours (RFC 9110, 7.6.1), or of the body as it came."""

_OURS = b"x-infergate-"
_NOT_BACK = frozenset(
    (b"date", b"server", b"x-request-id", b"x-infergate-request-id", Continuing.SERVED_BY.encode())
)
"""The outer answer has its own; the last is for the tier alone."""


@dataclass(frozen=True)
class Caller:
    """token: what stands for its key in nginx, until this request is over; "" for one without a
    key. parent: the request's id. client: the address that it came from. handed: why we have it.
    continuations: how often a stream of it may be continued.
    """

    token: str
    parent: str
    client: str
    handed: str
    continuations: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """For whatever is asked in its name (nginx/templates/site_api.conf.j2)."""
        return {"authorization": f"Bearer {self.token}", "x-infergate-client": self.client}


def caller_of(headers: Headers) -> Caller:
    """nginx sets these itself, whatever a client sends."""
    told = {name: value.decode("latin-1") for name, value in headers if name.startswith(_OURS)}

    def one(name: bytes) -> str:
        return told.get(_OURS + name, "")

    handed = one(b"handed") or Handed.ENDPOINT
    times = int(one(b"continuations") or 0)
    return Caller(one(b"token"), one(b"parent"), one(b"client"), handed, times)


def passed_on(headers: Headers) -> list[tuple[bytes, bytes]]:
    """What a backend gets of a request's headers: all but what is ours and our neighbour's."""
    ours = _NEIGHBOURS | {b"authorization"}
    return [each for each in headers if each[0] not in ours and not each[0].startswith(_OURS)]


def passed_back(headers: Headers) -> list[tuple[bytes, bytes]]:
    """What the client gets of an answer's headers."""
    dropped = (_NEIGHBOURS - {b"content-length", b"content-encoding"}) | _NOT_BACK
    return [(name.lower(), value) for name, value in headers if name.lower() not in dropped]
