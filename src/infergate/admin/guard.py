"""Who may use the admin API: looked at before a request reaches any operation.

A browser must not be made to use it for somebody else: nothing but the Authorization header lets
in, never a cookie; what another site's page sends is refused; a body must be JSON, which no form
can send; and the Host must be a name of ours, so that no foreign name can be pointed here.
"""

from __future__ import annotations

import pwd
import socket
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from infergate.admin.gateway import Gateway
from infergate.admin.machines import PATHS, Words
from infergate.admin.problems import OperationRefused, response_to
from infergate.bans.judge import client_network
from infergate.config.addresses import is_ip
from infergate.config.root import Config
from infergate.errors import InfergateError
from infergate.store.admin_tokens import Role, as_actor, token_of
from infergate.store.audit import acting_as
from infergate.store.secrets import key_hash

UID = "uid"
"""In a request's state: the user at the other end of the unix socket (serve.py)."""

LARGEST_BODY = 16 * 1024**2
"""Bytes: an import of 30,000 keys."""

_WRONG_WITHIN_S = 60.0
_ADDRESSES_KEPT = 10_000

_ASKING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class AdminCaller:
    """Who asks. name: as the audit log says it."""

    name: str
    role: Role


class WrongTokens:
    """Counts wrong tokens by client, and lets those wait who try too many."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._seen: dict[str, deque[float]] = defaultdict(deque)

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until it may try again; 0 if it may now. now: of time.monotonic()."""
        seen = self._seen.get(client_network(address))
        if not seen:
            return 0.0
        while seen and seen[0] <= now - _WRONG_WITHIN_S:
            seen.popleft()
        return seen[0] + _WRONG_WITHIN_S - now if len(seen) >= self._at_most else 0.0

    def note(self, address: str, now: float) -> None:
        """It sent a wrong one."""
        if len(self._seen) >= _ADDRESSES_KEPT:
            late = [each for each, seen in self._seen.items() if seen[-1] <= now - _WRONG_WITHIN_S]
            for each in late or list(self._seen)[:1]:
                del self._seen[each]
        self._seen[client_network(address)].append(now)


class AdminGuard:
    """The admin API with a guard before it."""

    def __init__(
        self, app: ASGIApp, gateway: Callable[[], Gateway], *, wrong_tokens: int = 10
    ) -> None:
        """wrong_tokens: how many an address may send in a minute."""
        self._app, self._gateway = app, gateway
        self._wrong = WrongTokens(wrong_tokens)
        self._words = Words()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            gateway = self._gateway()
            check_origin(headers, gateway.loaded.config)
            if _is_machine(scope, headers):
                word = await run_in_threadpool(self._words.answer, gateway, scope["path"])
                await word(scope, receive, send)
                return
            caller = await self._caller(gateway, scope, headers)
            if caller.role != "full" and scope["method"] not in _ASKING:
                raise OperationRefused(
                    HTTPStatus.FORBIDDEN,
                    f"{caller.name} may ask and not change",
                    hint="`infergate admin token create --role full` makes one that may.",
                )
            check_body(headers)
        except InfergateError as refused:
            await response_to(refused)(scope, receive, send)
            return
        with acting_as(caller.name):
            await self._app(scope, receive, send)

    async def _caller(self, gateway: Gateway, scope: Scope, headers: Headers) -> AdminCaller:
        given = headers.get("authorization")
        uid = scope.get("state", {}).get(UID)
        if given is None and uid is not None:
            return AdminCaller(_user(uid), "full")
        address = (scope.get("client") or ("the socket", 0))[0]
        kind, _, secret = (given or "").partition(" ")
        digest = key_hash(secret) if kind.lower() == "bearer" else ""
        # A right one is let in whoever else guesses from there: behind one address may be many, and
        # to wait keeps nobody from finding 256 random bits who would otherwise find them.
        token = await run_in_threadpool(token_of, gateway.database, digest) if digest else None
        if token is not None:
            return AdminCaller(as_actor(token), token.role)
        wait_s = self._wrong.wait_s(address, time.monotonic())
        if wait_s and given is not None:
            raise OperationRefused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many wrong tokens came from {address}",
                headers={"Retry-After": str(int(wait_s) + 1)},
            )
        if given is not None:
            self._wrong.note(address, time.monotonic())
        raise OperationRefused(
            HTTPStatus.UNAUTHORIZED,
            "the token is not valid" if given is not None else "a token is needed",
            hint="`infergate admin token create` makes one; send it as Authorization: Bearer.",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _is_machine(scope: Scope, headers: Headers) -> bool:
    """Whether it asks for one word, and has no token to hear more."""
    is_asked = scope["path"] in PATHS and scope["method"] in _ASKING
    return is_asked and "authorization" not in headers and UID not in scope.get("state", {})


def _user(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a user id without a name, as in containers
        name = str(uid)
    return f"{name}@{socket.gethostname()}"


def check_origin(headers: Headers, config: Config) -> None:
    """Raises Refused for a request that another site's page made a browser send, or for a name
    that is not ours (DNS rebinding needs a name; addresses are always good)."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    ours = {"localhost", *config.admin.hosts, *config.listen.hosts}
    if not is_ip(name) and name.lower() not in {each.lower() for each in ours}:
        raise OperationRefused(
            HTTPStatus.FORBIDDEN,
            "the admin API is not known by the name in Host",
            hint="Names it may be called by: `admin: hosts:` and `listen: hosts:`.",
        )
    origin = headers.get("origin")
    same = origin is None or origin.partition("://")[2] == host
    if not same or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise OperationRefused(
            HTTPStatus.FORBIDDEN, "another site's page may not use the admin API"
        )


def check_body(headers: Headers) -> None:
    """Raises Refused for a body that is not said to be JSON, or said to be too long."""
    length = int(headers.get("content-length", "0"))  # h11 lets only digits through
    if length > LARGEST_BODY:
        raise OperationRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {LARGEST_BODY:,} bytes"
        )
    has_body = length > 0 or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body and kind != "application/json":
        raise OperationRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "a body must be JSON",
            hint="Send it with Content-Type: application/json.",
        )
