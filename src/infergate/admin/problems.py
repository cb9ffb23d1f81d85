"""Errors as RFC 9457 says them over HTTP: application/problem+json with what, where, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from infergate.config.problems import ConfigError
from infergate.errors import (
    AlreadyRunning,
    ApplyError,
    Conflict,
    EngineError,
    InfergateError,
    LintError,
    NotAllowed,
    NotRunning,
    NotThere,
    StateError,
    UserError,
)

MEDIA_TYPE = "application/problem+json"

SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "description": "What went wrong, where, and what to do about it (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Always about:blank: the status says it."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong."},
        "where": {"type": "string", "description": "The field, file, line or process concerned."},
        "hint": {"type": "string", "description": "What to do about it."},
    },
}

_STATUS: tuple[tuple[type[InfergateError], HTTPStatus], ...] = (
    (NotThere, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (NotRunning, HTTPStatus.CONFLICT),
    (AlreadyRunning, HTTPStatus.CONFLICT),
    (ConfigError, HTTPStatus.CONFLICT),  # the file at the gateway's machine
    (LintError, HTTPStatus.CONFLICT),
    (EngineError, HTTPStatus.CONFLICT),
    (ApplyError, HTTPStatus.CONFLICT),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (UserError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (StateError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class OperationRefused(NotAllowed):
    """A request that never reaches an operation. headers: of the answer."""

    def __init__(
        self,
        status: HTTPStatus,
        what: str,
        *,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what, hint=hint)
        self.status, self.headers = status, headers


def response_to(error: InfergateError) -> JSONResponse:
    """The answer to a request that failed so."""
    if isinstance(error, OperationRefused):
        return problem(error.status, error.what, hint=error.hint, headers=error.headers)
    found = (status for kind, status in _STATUS if isinstance(error, kind))
    status = next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
    return problem(status, error.what, where=error.where, hint=error.hint)


def problem(
    status: int,
    what: str,
    *,
    where: str | None = None,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document with this status."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": what,
        **({"where": where} if where else {}),
        **({"hint": hint} if hint else {}),
    }
    return JSONResponse(document, status, headers=headers, media_type=MEDIA_TYPE)
