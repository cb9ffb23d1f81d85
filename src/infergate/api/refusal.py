"""What a client is told that asked for what cannot be had, in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """status: of the answer. param: the field at fault. code: for programs."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.param, self.code = message, status, param, code

    @property
    def document(self) -> Mapping[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def missing(what: str, id_: str) -> Refusal:
    """What there is not, or only of somebody else: both are told alike."""
    return Refusal(f"No such {what}: {id_[:100]!r}.", status=404, param="id", code="not_found")
