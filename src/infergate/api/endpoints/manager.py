"""What nginx hands over for endpoints of the operator's own: to the process of the right file, for
no longer than it may take. Nothing of a file runs here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from infergate.api import answering
from infergate.api.answering import BodyTooLarge, Left, body_of, while_there
from infergate.api.caller import caller_of, passed_back
from infergate.api.endpoints.folder import EndpointFolder, FileOfEndpoints, FoundEndpoint

DOCUMENT = "/openapi.json"
_NO_KEY = "You didn't provide an API key. Send it as 'Authorization: Bearer KEY'."
_TO_HOST = frozenset((b"connection", b"host", b"content-length", b"transfer-encoding"))


class Manager:
    """The application."""

    def __init__(self, folder: EndpointFolder, largest_body: int) -> None:
        self._folder, self._largest = folder, largest_body
        self._busy: dict[tuple[str, str], int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        caller = caller_of(scope["headers"])
        if not caller.client:  # not by nginx, which says whom it asks for
            await answering.answer_json(send, 200, self.status())
            return
        if path == DOCUMENT and method == "GET":
            if caller.token:
                await answering.answer_json(send, 200, self.document())
            else:
                await _refused(send, 401, _NO_KEY)
            return
        wanted = "GET" if method == "HEAD" else method
        found = self._folder.find(wanted, path)
        refusal = _refusal(found, caller.token, headers.get(b"x-infergate-key", b"").decode())
        if refusal is not None:
            await _refused(send, *refusal)
            return
        assert found is not None  # noqa: S101 - else it was refused
        assert found.endpoint is not None  # noqa: S101
        place = (found.file.path.name, found.endpoint["path"])
        if self._busy.get(place, 0) >= found.endpoint["at_once"]:
            await _refused(
                send, 429, "This endpoint has as many requests as it takes.", {"retry-after": "1"}
            )
            return
        self._busy[place] = self._busy.get(place, 0) + 1
        try:
            body = await body_of(receive, self._largest)
            await while_there(receive, self._ask(found, scope, body, send))
        except Left:
            return
        except BodyTooLarge:
            await _refused(send, 413, "The request body is larger than this gateway accepts.")
        finally:
            self._busy[place] -= 1

    async def _ask(self, found: FoundEndpoint, scope: Scope, body: bytes, send: Send) -> None:
        process, endpoint = found.file.process, found.endpoint
        assert process is not None and endpoint is not None  # noqa: S101, PT018
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        on = [each for each in scope["headers"] if each[0] not in _TO_HOST]
        request = process.client.build_request(
            scope["method"], f"http://endpoint{target}", content=body, headers=on
        )
        begun = False
        process.in_flight += 1
        try:
            async with asyncio.timeout(endpoint["timeout_s"]):
                answer = await process.client.send(request, stream=True)
                try:
                    headers = passed_back(answer.headers.raw)
                    begun = True
                    await answering.start(send, answer.status_code, headers)
                    async for part in answer.aiter_raw():
                        await answering.part(send, part)
                    await answering.end(send)
                finally:
                    await answer.aclose()
        except TimeoutError:
            await self._folder.replace(found.file, process)
            if begun:
                return  # cut off by uvicorn: what came is not all
            await _refused(send, 504, "The endpoint did not answer in time.")
        except httpx.HTTPError:
            if begun:
                return
            await _refused(send, 502, f"The endpoint's process ({found.file.path.name}) ended.")
        finally:
            process.in_flight -= 1

    def status(self) -> Mapping[str, Any]:
        """Each file, its paths, and what is wrong with it."""
        files = [_told(each) for each in self._folder.files]
        if self._folder.problem:
            files.append({"file": "", "endpoints": [], "problem": self._folder.problem, "line": 0})
        return {"files": files}

    def document(self) -> Mapping[str, Any]:
        """The OpenAPI document of all files. Of two schemas of one name, the last file's counts."""
        paths: dict[str, Any] = {}
        schemas: dict[str, Any] = {}
        for file in self._folder.files:
            if file.process is not None:
                its = file.process.openapi
                for path, operations in its.get("paths", {}).items():
                    paths.setdefault(path, {}).update(operations)
                schemas |= its.get("components", {}).get("schemas", {})
        return {
            "openapi": "3.1.0",
            "info": {"title": "Endpoints of this gateway", "version": "1"},
            "paths": paths,
            "components": {"schemas": schemas},
        }


def _told(file: FileOfEndpoints) -> Mapping[str, Any]:
    problem = file.problem
    return {
        "file": file.path.name,
        "endpoints": [f"{method} {path}" for method, path in file.promised],
        "problem": problem.message if problem else "",
        "line": problem.line if problem else 0,
    }


def _refusal(
    found: FoundEndpoint | None, token: str, key: str
) -> tuple[int, str, dict[str, str]] | None:
    """Why it is not asked: status, message, headers."""
    if found is None:
        return 404, "There is no such endpoint.", {}
    if found.endpoint is None and found.allowed:
        return 405, "This endpoint does not take that method.", {"allow": ", ".join(found.allowed)}
    if found.endpoint is None:
        message = (
            f"The endpoint's file {found.file.path.name} is disabled: `infergate status` says why."
        )
        return 503, message, {"retry-after": "5"}
    if not token and not found.endpoint["anyone"]:
        return 401, _NO_KEY, {}
    names = found.endpoint["keys"]
    if names and not any(fnmatchcase(key, str(each)) for each in names):
        return 403, "This API key may not use this endpoint.", {}
    return None


async def _refused(
    send: Send, status: int, message: str, headers: Mapping[str, str] | None = None
) -> None:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": None}
    told = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    with contextlib.suppress(RuntimeError):
        await answering.answer_json(send, status, {"error": error}, told)
