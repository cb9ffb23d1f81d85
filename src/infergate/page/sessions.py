"""Who is logged in: the token that stands behind a cookie. In memory only, and not for long."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from infergate.bans.judge import client_network

IDLE_S = 30 * 60
"""A session that is not used for so long is over: somebody has left the desk."""
LONGEST_S = 12 * 3600
"""A session is over after so long, used or not: a working day."""
_MOST = 500


@dataclass
class Session:
    """One visitor. token: of the admin API. address: the client's, of IPv6 a /64.

    csrf: has to come with whatever changes something. began, used: by time.monotonic().
    """

    token: str
    address: str
    csrf: str
    began: float
    used: float


class Sessions:
    """Those that are logged in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_hash: dict[str, Session] = {}

    def begin(self, token: str, address: str) -> tuple[str, Session]:
        """A new session and the secret of its cookie. The oldest make room."""
        self._forget_old()
        while len(self._by_hash) >= _MOST:
            del self._by_hash[next(iter(self._by_hash))]
        secret, now = secrets.token_urlsafe(32), self._clock()
        network, csrf = client_network(address), secrets.token_urlsafe(32)
        session = Session(token, network, csrf, now, now)
        self._by_hash[_hash(secret)] = session
        return secret, session

    def find(self, secret: str, address: str, *, used: bool = True) -> Session | None:
        """The session of a cookie that comes from where it was given out to. From elsewhere it is
        somebody else's, and over. used: by the visitor, not by a page that is merely open."""
        session = self._by_hash.get(_hash(secret))
        if session is None:
            return None
        if client_network(address) != session.address or self._is_old(session):
            self.end(secret)
            return None
        if used:
            session.used = self._clock()
        return session

    def end(self, secret: str) -> None:
        """It is over."""
        self._by_hash.pop(_hash(secret), None)

    def _is_old(self, session: Session) -> bool:
        now = self._clock()
        return now > session.used + IDLE_S or now > session.began + LONGEST_S

    def _forget_old(self) -> None:
        for name in [name for name, each in self._by_hash.items() if self._is_old(each)]:
            del self._by_hash[name]


def _hash(secret: str) -> str:
    """Looked up by this, so that the time of a look-up says nothing of the secret."""
    return sha256(secret.encode()).hexdigest()
