"""Errors in Anthropic's shape: https://docs.anthropic.com/en/api/errors"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infergate.api.dialects.translation import Body

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def kind(status: int) -> str:
    """Its type, as njs/dialect.js has it."""
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def shape(status: int, error: Mapping[str, Any]) -> Body:
    """error: OpenAI's, without its wrapping."""
    message = error.get("message")
    text = message if isinstance(message, str) and message else "The backend failed."
    return {"type": "error", "error": {"type": kind(status), "message": text}}
