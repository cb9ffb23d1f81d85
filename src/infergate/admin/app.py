"""The operations over HTTP. Only the process that serves them loads this: FastAPI is slow to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from itertools import chain, groupby
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from infergate.admin.gateway import Gateway
from infergate.admin.guard import LARGEST_BODY
from infergate.admin.machines import PATHS, told
from infergate.admin.metrics import text
from infergate.admin.operation import Operation
from infergate.admin.operations import OPERATIONS
from infergate.admin.problems import MEDIA_TYPE, SCHEMA, problem, response_to
from infergate.errors import InfergateError
from infergate.metrics.exposition import MEDIA_TYPE as PROMETHEUS

_METHODS: Mapping[str, list[str]] = {
    path: [each.method for each in same]
    for path, same in groupby(
        sorted(chain(*OPERATIONS.values()), key=lambda each: each.path),
        key=lambda each: each.path,
    )
}

_DESCRIPTION = (
    "Everything that the command line does. Lists come in pages: `next` of an answer is `after` of "
    "the following request. Errors are application/problem+json (RFC 9457)."
)


def api(gateway: Callable[[], Gateway]) -> FastAPI:
    """The admin API without its guard (guard.py). gateway: asked anew for each request."""
    app = FastAPI(
        title="Infergate admin API",
        version=version("infergate"),
        description=_DESCRIPTION,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        max_body_size=LARGEST_BODY,  # of a body that says no length, too
    )
    for noun, operations in OPERATIONS.items():
        for each in operations:
            app.add_api_route(
                each.path,
                _endpoint(each, gateway),
                methods=[each.method],
                tags=[noun],
                operation_id=each.name,
                response_model_exclude_unset=True,
                description=inspect.cleandoc(each.function.__doc__ or ""),
                summary=each.name.replace("_", " ").capitalize(),
                responses={422: {"description": "Not understood"}},
            )
    app.add_api_route("/metrics", _metrics(gateway), methods=["GET"], include_in_schema=False)
    for path in PATHS:
        app.add_api_route(path, _health(gateway, path), methods=["GET"], include_in_schema=False)
    app.add_exception_handler(InfergateError, _failed)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _broken)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _endpoint(operation: Operation[Any, Any], gateway: Callable[[], Gateway]) -> Callable[..., Any]:
    """The operation as FastAPI wants it, in a thread of its own: what it does may take its time."""

    def endpoint(**given: Any) -> Any:
        return operation(gateway(), **given)

    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in operation.parameters]
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        named, return_annotation=operation.answer
    )
    return endpoint


def _metrics(gateway: Callable[[], Gateway]) -> Callable[[], Response]:
    """Prometheus' own path, in its own format."""

    def endpoint() -> Response:
        return Response(text(gateway()), media_type=PROMETHEUS)

    return endpoint


def _health(gateway: Callable[[], Gateway], path: str) -> Callable[[], Response]:
    """With reasons: guard.py lets only who has a token come here."""

    def endpoint() -> Response:
        return told(gateway(), path)

    return endpoint


async def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InfergateError)  # noqa: S101 - Starlette chose it by its class
    return response_to(error)


async def _not_understood(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(422, first["msg"].removeprefix("Value error, "), where=where)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # the router names one route's only
        path = getattr(request.scope.get("route"), "path", "")
        headers["Allow"] = ", ".join(_METHODS.get(path, ["GET"]))
    return problem(error.status_code, str(error.detail), headers=headers)


async def _broken(_request: Request, _error: Exception) -> Response:
    return problem(500, "a fault of Infergate", hint="The gateway's log has it: logs/gateway.log")


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with what holds for every operation: its guard, and its errors."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    error = {
        "description": "What went wrong, and what to do.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"] |= {"4XX": error, "5XX": error}
            operation["security"] = [{"token": []}]
    components = document["components"]
    components["schemas"]["Problem"] = dict(SCHEMA)
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "`infergate admin token create`. The unix socket needs none.",
        }
    }
    app.openapi_schema = document
    return document
