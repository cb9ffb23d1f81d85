"""What a translation is: of one request, of its answer, and of the events of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Body = dict[str, Any]
"""A JSON object."""

EVENT_STREAM = "text/event-stream"
LINES = "application/x-ndjson"


class Events(Protocol):
    """A stream on its way to the client. After an error nothing more comes out."""

    def feed(self, chunk: Body) -> bytes:
        """What one chunk of the backend becomes; b"" where the client need not see it."""
        ...

    def end(self) -> bytes:
        """What comes after the last chunk of a stream that ended whole."""
        ...

    def broken(self, status: int, error: Mapping[str, Any], /) -> bytes:
        """The stream broke off: its error, as a backend or the gateway told it."""
        ...


class Translation(Protocol):
    """Of one request. It holds what the answer needs to know of it.

    method, target, body: what is asked at the backend. body has `stream` as it was asked for.
    media_type: of a stream to the client.
    """

    @property
    def method(self) -> Literal["GET", "POST"]: ...
    @property
    def target(self) -> str: ...
    @property
    def body(self) -> Body: ...
    @property
    def streamed(self) -> bool: ...
    @property
    def media_type(self) -> str: ...

    def answer(self, answer: Body, /) -> Body:
        """A whole answer in the client's dialect; an array stands under `results`. Raises Refused
        where it is none."""
        ...

    def events(self) -> Events:
        """For a stream."""
        ...


class InOnePiece:
    """What translations have in common whose answer is no stream."""

    media_type = "application/json"
    streamed = False

    def events(self) -> Events:
        """There are none: `streamed` says so."""
        raise AssertionError("an answer in one piece")
