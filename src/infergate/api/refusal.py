"""What a client is told that asked for what cannot be had."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """What a request asks for cannot be had here, or is no request as it should be.

    status: of the answer. param: where in the request. code: OpenAI's word for it, if there is one.
    """

    def __init__(
        self, message: str, *, param: str | None = None, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.status, self.code = message, param, status, code

    @property
    def error(self) -> dict[str, Any]:
        """In OpenAI's shape, without its wrapping."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"message": self.message, "type": kind, "param": self.param, "code": self.code}

    @property
    def document(self) -> dict[str, Any]:
        """The body of an answer in OpenAI's shape."""
        return {"error": self.error}


def missing(what: str, id_: str) -> Refused:
    """What there is not, or only of somebody else: both are told alike."""
    return Refused(f"No such {what}: {id_[:100]!r}.", status=404, param="id", code="not_found")
