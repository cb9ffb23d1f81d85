"""The page before the admin API: who is logged in asks it through here, everybody else goes by.

Nothing but a cookie of ours lets in, and what changes something needs besides it a word that only
a page of ours was told (CSRF). All else that keeps others out is the admin API's own guard, which
every request still meets: foreign origins, names that are not ours, wrong tokens, roles.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from infergate.page.ask import body_of, get, relay
from infergate.page.files import HEADERS, file_named
from infergate.page.live import LivePage
from infergate.page.sessions import LONGEST_S, Session, Sessions
from infergate.page.trial import PageTrials

PREFIX = "/page"
API = f"{PREFIX}/v1/"
_LONGEST_LOGIN = 4096
_ASKING = ("GET", "HEAD")
_WHO = "/v1/tokens:me"


class Page:
    """The admin API with the page before it."""

    def __init__(
        self,
        api: ASGIApp,
        *,
        gateway_url: Callable[[], tuple[str, str]],
        enabled: Callable[[], bool],
    ) -> None:
        """api: the admin API behind its guard. gateway_url: where models are asked (trial.py).
        enabled: whether `admin: page` is on now."""
        self._api, self._enabled = api, enabled
        self._sessions, self._live, self._trials = Sessions(), LivePage(), PageTrials(gateway_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        ours = path in ("/", "/favicon.ico", PREFIX) or path.startswith(PREFIX + "/")
        if scope["type"] != "http" or not ours or not self._enabled():
            await self._api(scope, receive, send)
        elif path.startswith(API):
            await self._relayed(scope, receive, send)
        else:
            answer = await self._answer(scope, receive, path)
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, path: str) -> Response:
        method = scope["method"]
        if path == f"{PREFIX}/session":
            return await self._session(scope, receive, method)
        if path == f"{PREFIX}/live" and method == "GET":
            return await self._news(scope)
        if path == f"{PREFIX}/trial" and method == "POST":
            return await self._trial(scope, receive)
        if method not in _ASKING:
            return _problem(405, "the page is read with GET")
        if path == "/favicon.ico":
            path = f"{PREFIX}/assets/icon.svg"
        if path.startswith(f"{PREFIX}/assets/"):
            name = path.removeprefix(f"{PREFIX}/assets/")
            return file_named(name) or _problem(404, f"there is no file {name!r}")
        if path in ("/", PREFIX):
            return RedirectResponse(f"{PREFIX}/overview", 303, headers=dict(HEADERS))
        return file_named("index.html") or _problem(404, "the page is not installed")

    async def _session(self, scope: Scope, receive: Receive, method: str) -> Response:
        if method == "POST":
            return await self._log_in(scope, receive)
        secret, session = self._visitor(scope)
        if session is None:
            return JSONResponse({}, headers=HEADERS) if method == "GET" else _logged_out(scope)
        if method == "DELETE":
            if not _has_word(scope, session):
                return _foreign()
            self._sessions.end(secret)
            answer: Response = JSONResponse({})
            _forget(answer, scope)
            return answer
        who = await get(self._api, session.token, scope, _WHO)
        if who.status == HTTPStatus.UNAUTHORIZED:
            self._sessions.end(secret)
            return _logged_out(scope)
        return _told(who.status, who.body, session)

    async def _log_in(self, scope: Scope, receive: Receive) -> Response:
        kind = Headers(scope=scope).get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            return _problem(415, "a body must be JSON")
        body = await body_of(receive, _LONGEST_LOGIN)
        token = _token_in(body)
        if token is None:
            return _problem(
                422, "a token is needed", hint="`infergate admin token create` makes one."
            )
        who = await get(self._api, token, scope, _WHO)
        if who.status != HTTPStatus.OK:
            return _told(who.status, who.body, None)
        secret, session = self._sessions.begin(token, _address(scope))
        answer = _told(who.status, who.body, session)
        answer.set_cookie(
            _cookie_name(scope),
            secret,
            max_age=LONGEST_S,
            path="/",
            httponly=True,
            secure=scope["scheme"] == "https",
            samesite="strict",
        )
        return answer

    async def _relayed(self, scope: Scope, receive: Receive, send: Send) -> None:
        secret, session = self._visitor(scope)
        if session is None:
            await _logged_out(scope)(scope, receive, send)
        elif scope["method"] not in _ASKING and not _has_word(scope, session):
            await _foreign()(scope, receive, send)
        else:
            path = scope["path"].removeprefix(PREFIX)
            status = await relay(self._api, session.token, scope, path, receive, send)
            if status == HTTPStatus.UNAUTHORIZED:  # the token was revoked
                self._sessions.end(secret)

    async def _news(self, scope: Scope) -> Response:
        secret, session = self._visitor(scope)
        if session is None:
            return _logged_out(scope)
        if self._live.is_full:
            return _problem(503, "too many pages are open", hint="Close some, and load this again.")
        address = _address(scope)

        async def ask(path: str, query: str) -> bytes | None:
            known = self._sessions.find(secret, address, used=False)
            if known is None:
                return None
            answer = await get(self._api, known.token, scope, path, query)
            return answer.body if answer.status == HTTPStatus.OK else None

        news = self._live.follow(ask)
        return StreamingResponse(news, media_type="text/event-stream", headers=dict(HEADERS))

    async def _trial(self, scope: Scope, receive: Receive) -> Response:
        _, session = self._visitor(scope)
        if session is None:
            return _logged_out(scope)
        if not _has_word(scope, session):
            return _foreign()
        # Whom the admin API does not let in any more, or not from there, this does not either.
        who = await get(self._api, session.token, scope, _WHO)
        if who.status != HTTPStatus.OK:
            return _told(who.status, who.body, None)
        return await self._trials.run(await body_of(receive, PageTrials.longest))

    def _visitor(self, scope: Scope) -> tuple[str, Session | None]:
        secret = _cookie(scope)
        return secret, self._sessions.find(secret, _address(scope)) if secret else None


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("", 0))[0])


def _cookie_name(scope: Scope) -> str:
    """__Host-: a browser takes it only over TLS, for this host alone and no other of its domain."""
    return "__Host-infergate" if scope["scheme"] == "https" else "infergate-page"


def _cookie(scope: Scope) -> str:
    """Its secret; "" if there is none. http.cookies gives up at the first cookie that is not as it
    should be, and a browser sends us those of every program on this host, whatever its port."""
    name = _cookie_name(scope)
    for header in Headers(scope=scope).getlist("cookie"):
        for each in header.split(";"):
            said, _, value = each.strip().partition("=")
            if said == name:
                return value
    return ""


def _has_word(scope: Scope, session: Session) -> bool:
    given = Headers(scope=scope).get("x-infergate-csrf", "")
    return hmac.compare_digest(given.encode(), session.csrf.encode())


def _token_in(body: bytes | None) -> str | None:
    try:
        token = json.loads(body or b"")["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_one = isinstance(token, str) and token.isascii() and token.isprintable()
    return token.strip() or None if is_one else None


def _told(status: int, body: bytes, session: Session | None) -> Response:
    """What the admin API said of a token, with the word that changes need."""
    if session is None or status != HTTPStatus.OK:
        return Response(body, status, media_type="application/problem+json")
    return JSONResponse({**json.loads(body), "csrf": session.csrf})


def _logged_out(scope: Scope) -> Response:
    answer = _problem(401, "you are not logged in", hint="Log in with a token of the admin API.")
    if _cookie(scope):
        _forget(answer, scope)
    return answer


def _forget(answer: Response, scope: Scope) -> None:
    answer.delete_cookie(
        _cookie_name(scope),
        path="/",
        httponly=True,
        secure=scope["scheme"] == "https",
        samesite="strict",
    )


def _foreign() -> Response:
    return _problem(403, "this did not come from a page of ours", hint="Load the page again.")


def _problem(status: int, what: str, hint: str | None = None) -> Response:
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": what,
        **({"hint": hint} if hint else {}),
    }
    return JSONResponse(document, status, media_type="application/problem+json", headers=HEADERS)
