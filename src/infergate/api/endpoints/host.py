"""`python -m infergate.api.endpoints.host FD REPORT SETTINGS`: the process of one file.

It is all that the file can break: what it has is told on the descriptor REPORT, in one line of
JSON, or what is wrong with it, and where.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import json
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from infergate.api.answering import Left, body_of, while_there
from infergate.api.endpoints.declare import ALIVE, LOAD_S, Declared, declared
from infergate.api.serve import serve

_NO_CORE, _FINISH_S = 0, 3600


@dataclass(frozen=True)
class Wrong(Exception):
    """line: of the file; 0 where nobody knows."""

    message: str
    line: int


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    report, told = os.fdopen(int(sys.argv[2]), "w"), json.loads(sys.argv[3])
    memory = told["endpoint_memory"]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (_NO_CORE, _NO_CORE))
    file = Path(told["file"])
    sys.dont_write_bytecode = True  # the folder is the operator's
    sys.path.insert(0, str(file.parent))
    try:
        _load(file)
        app = _application(told, str(file))
        document: dict[str, Any] = {"endpoints": _facts(), "openapi": app.openapi()}
    except Wrong as wrong:
        document = {"error": wrong.message, "line": wrong.line}
    except Exception as problem:  # noqa: BLE001 - whatever Pydantic or FastAPI finds wrong in it
        document = {"error": f"{type(problem).__name__}: {problem}"[:500], "line": _line(file)}
    with contextlib.suppress(BrokenPipeError), report:
        report.write(json.dumps(document) + "\n")
    if "error" in document:
        os._exit(1)
    asyncio.run(serve(_Cancelled(app, told["max_body"]), listener, finish_s=_FINISH_S))
    os._exit(0)  # threads that hang are not waited for


def _load(file: Path) -> None:
    """Run the file. Raises Wrong."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"it was not loaded within {LOAD_S:.0f} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LOAD_S)
    spec = importlib.util.spec_from_file_location(f"endpoints_{file.stem}", file)
    assert spec is not None  # noqa: S101 - its name ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as problem:
        raise Wrong(f"SyntaxError: {problem.msg}", problem.lineno or 0) from None
    except SystemExit as problem:
        raise Wrong(f"it ends Python (SystemExit: {problem.code})", _line(file)) from None
    except BaseException as problem:  # noqa: BLE001 - whatever it is, it is the file's
        raise Wrong(f"{type(problem).__name__}: {problem}"[:500], _line(file)) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if not declared:
        raise Wrong("it has no function with @endpoint", 0)


def _line(file: Path) -> int:
    """Of the file, where the exception that is handled came from."""
    _, problem, trace = sys.exc_info()
    if isinstance(problem, SyntaxError):
        return problem.lineno or 0
    frames = [
        each.lineno or 0 for each in traceback.extract_tb(trace) if each.filename == str(file)
    ]
    return frames[-1] if frames else 0


def _application(told: dict[str, Any], file: str) -> FastAPI:
    app = FastAPI(title=Path(file).name, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.socket, app.state.services = Path(told["inner_socket"]), told["services"]
    for each in declared:
        more: dict[str, Any] = {"description": inspect.cleandoc(each.function.__doc__ or "")}
        function = each.function
        if inspect.isasyncgenfunction(function):
            function, more["response_model"] = _streamed(function), None
        app.add_api_route(each.path, function, methods=[each.method], **more)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(Exception, _failed)
    return app


def _streamed(
    function: Callable[..., AsyncIterator[Any]],
) -> Callable[..., Awaitable[StreamingResponse]]:
    """What an asynchronous generator yields, as server-sent events; a text goes out as it is."""

    async def endpoint(**given: Any) -> StreamingResponse:
        return StreamingResponse(_events(function(**given)), media_type="text/event-stream")

    its = inspect.signature(function, eval_str=True)
    endpoint.__signature__ = its.replace(  # type: ignore[attr-defined]
        return_annotation=inspect.Signature.empty
    )
    endpoint.__name__ = function.__name__
    return endpoint


async def _events(parts: AsyncIterator[Any]) -> AsyncIterator[str]:
    try:
        async for part in parts:
            if isinstance(part, str):
                yield part
            else:
                text = part.model_dump_json() if isinstance(part, BaseModel) else json.dumps(part)
                yield f"data: {text}\n\n"
    except Exception as problem:  # noqa: BLE001 - the file's; its status has gone out
        traceback.print_exc()
        told = _openai_shape(500, f"The endpoint failed: {type(problem).__name__}.", "")
        yield f"data: {json.dumps(told)}\n\n"


def _facts() -> list[dict[str, Any]]:
    """For the manager: all but the functions."""
    names = [each.name for each in fields(Declared) if each.name not in ("function", "errors")]
    return [{name: getattr(each, name) for name in names} for each in declared]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette chose it by its class
    return _error(request, error.status_code, error.detail, error.headers)


async def _not_understood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _error(request, 422, f"{where}: {first['msg']}" if where else first["msg"])


_KEPT = ("retry-after",)


async def _failed(request: Request, error: Exception) -> Response:
    """What a model's client raised goes on as it came: its status, its words, its wait."""
    response, status = getattr(error, "response", None), getattr(error, "status_code", None)
    if response is not None and isinstance(status, int):
        body = getattr(error, "body", None)
        told = body.get("message") if isinstance(body, dict) else None
        kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
        return _error(request, status, told or str(error), kept)
    return _error(request, 500, f"The endpoint failed: {type(error).__name__}.")


def _error(
    request: Request, status: int, message: Any, headers: Mapping[str, str] | None = None
) -> Response:
    path = getattr(request.scope.get("route"), "path", "")
    shape = next((each.errors for each in declared if each.path == path and each.errors), None)
    made = _openai_shape if shape is None else shape
    # In ASCII: what it repeats of a request may be half of a surrogate pair.
    text = json.dumps(made(status, message, request.url.path))
    return Response(text, status, headers, media_type="application/json")


def _openai_shape(status: int, message: Any, _path: str) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


class _Cancelled:
    """Ends what an endpoint does when its client leaves, and with it what it asks of models."""

    def __init__(self, app: FastAPI, largest_body: int) -> None:
        self._app, self._largest = app, largest_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == ALIVE:  # the manager asks whether anything still moves here
            await JSONResponse({})(scope, receive, send)
            return
        try:
            body = await body_of(receive, self._largest)
        except Left:
            return
        told = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            if told:
                return told.pop()
            await asyncio.Event().wait()  # that it left is seen elsewhere
            raise AssertionError

        try:
            await while_there(receive, self._app(scope, again, send))
        except Exception:  # noqa: BLE001 - answered, and raised once more for whoever logs
            traceback.print_exc()  # uvicorn would close a connection that is kept for others


if __name__ == "__main__":
    main()
