"""The playground's requests: to the gateway as any client sends them, with a key of the visitor's.

A browser may not ask another origin, and need not: what it would send goes through here, to our own
gateway and nowhere else, and its answer comes back as it streams.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import httpx
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response, StreamingResponse

from infergate.page.files import HEADERS

_PATHS = ("/v1/chat/completions", "/v1/models")
_SHOWN = ("content-type", "x-infergate-request-id", "retry-after")
_TIMEOUT_S = httpx.Timeout(600.0, connect=10.0)


class PageTrials:
    """Asks the gateway at its own address. Its certificate is not looked at: it is this machine's
    own, perhaps of an authority that only clients know."""

    longest = 1024**2
    """Bytes of a body."""

    def __init__(self, gateway_url: Callable[[], tuple[str, str]]) -> None:
        """gateway_url: its own listener by address, and the name to ask for (config/url.py)."""
        self._url = gateway_url

    async def run(self, body: bytes | None) -> Response:
        """body: {"path": …, "key": …, "body": …} of what to ask; a GET without `body`."""
        try:
            wanted = json.loads(body or b"")
            path, key, content = wanted["path"], wanted["key"], wanted.get("body")
            sent = None if content is None else json.dumps(content, allow_nan=False)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _failed(422, "a trial has path, key and body")
        if path not in _PATHS or not isinstance(key, str) or not _is_header(key):
            return _failed(422, "this cannot be tried")
        client = httpx.AsyncClient(timeout=_TIMEOUT_S, verify=False, trust_env=False)  # noqa: S501
        (url, host), method = self._url(), "GET" if sent is None else "POST"
        request = client.build_request(
            method,
            url + path,
            headers={
                "Authorization": f"Bearer {key}",
                "User-Agent": "infergate-page",
                "Host": host,
                **({} if sent is None else {"Content-Type": "application/json"}),
            },
            extensions={"sni_hostname": host},
            content=sent,
        )
        try:
            answer = await client.send(request, stream=True)
        except httpx.HTTPError as problem:
            await client.aclose()
            return _failed(502, f"the gateway does not answer: {problem or type(problem).__name__}")

        async def end() -> None:
            await answer.aclose()
            await client.aclose()

        shown = {name: answer.headers[name] for name in _SHOWN if name in answer.headers}
        return StreamingResponse(
            _whole_or_cut(answer),
            answer.status_code,
            headers={**HEADERS, **shown},
            background=BackgroundTask(end),
        )


async def _whole_or_cut(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_bytes():
            yield part
    except httpx.HTTPError:
        return  # the gateway gave up: what came is all there is, and a stream says so itself
    finally:
        await answer.aclose()


def _is_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _failed(status: int, what: str) -> Response:
    document = {"type": "about:blank", "title": "", "status": status, "detail": what}
    return JSONResponse(document, status, media_type="application/problem+json", headers=HEADERS)
