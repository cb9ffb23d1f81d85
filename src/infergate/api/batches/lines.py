"""The lines of a batch's file: read one by one, and understood."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO, NoReturn

from infergate.api.depth import DEEPEST, is_too_deep

ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
)
"""What a batch may ask for."""

MOST_ERRORS = 100
"""Of a file's lines that are told; who mends these sees the next ones."""

_BOM = b"\xef\xbb\xbf"
_LONGEST_ID = 512


@dataclass(frozen=True)
class BatchLine:
    """number: of the file, from 1, empty lines counted."""

    number: int
    custom_id: str
    body: Mapping[str, Any]


class BadLine(Exception):
    """What is wrong with a line, as an entry of a batch's `errors`."""

    def __init__(self, number: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.error: dict[str, Any] = {
            "code": code,
            "line": number,
            "message": message,
            "param": param,
        }


def raw_lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines that have anything on them; None for one that is longer than so many bytes. Of such
    a one no more than that is ever held. A byte order mark at the beginning is none of it."""
    number, room = 0, longest + len(_BOM) + len(b"\r\n")
    while piece := file.readline(room):
        number += 1
        if number == 1:
            piece = piece.removeprefix(_BOM)
        content = piece.removesuffix(b"\n").removesuffix(b"\r")
        if len(content) > longest:
            while piece and not piece.endswith(b"\n"):
                piece = file.readline(room)
            yield number, None
        elif content.strip():
            yield number, content


def line_of(number: int, raw: bytes | None, endpoint: str, longest: int) -> BatchLine:
    """Raises BadLine."""
    if raw is None:
        raise BadLine(number, "line_too_long", f"This line is longer than {longest} bytes.")
    found = _object(number, raw)
    custom_id, body = found.get("custom_id"), found.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= _LONGEST_ID:
        message = f"custom_id must be a text of 1 to {_LONGEST_ID} characters."
        raise BadLine(number, "invalid_custom_id", message, "custom_id")
    if found.get("method") != "POST":
        raise BadLine(number, "invalid_method", "method must be POST.", "method")
    if found.get("url") != endpoint:
        message = f"url must be the batch's endpoint, {endpoint}."
        raise BadLine(number, "mismatched_endpoint", message, "url")
    if not isinstance(body, dict):
        raise BadLine(number, "invalid_body", "body must be a JSON object.", "body")
    if body.get("stream") not in (None, False):
        message = "Answers of a batch are not streamed: leave out stream."
        raise BadLine(number, "invalid_body", message, "body.stream")
    if body.get("background") not in (None, False):
        message = "A batch waits for its answers: leave out background."
        raise BadLine(number, "invalid_body", message, "body.background")
    return BatchLine(number, custom_id, body)


def _object(number: int, raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except UnicodeDecodeError:
        raise BadLine(number, "invalid_json_line", "This line is no UTF-8.") from None
    except (ValueError, RecursionError):
        raise BadLine(number, "invalid_json_line", "This line is not valid JSON.") from None
    if not isinstance(found, dict):
        raise BadLine(number, "invalid_json_line", "This line is not a JSON object.")
    if is_too_deep(raw, found):
        message = f"This line is nested deeper than {DEEPEST} levels."
        raise BadLine(number, "invalid_json_line", message)
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    """What is too large for a number would be sent as Infinity, which is no JSON."""
    if math.isinf(found := float(text)):
        raise ValueError(text)
    return found


class CheckedLine:
    """A file that is looked through, line by line. total: the requests in it so far; errors: what
    is wrong, MOST_ERRORS at most."""

    def __init__(self, endpoint: str, *, longest: int, most: int) -> None:
        self._endpoint, self._longest, self._most = endpoint, longest, most
        self._seen: set[bytes] = set()
        self.total = 0
        self.errors: list[dict[str, Any]] = []

    def look(self, file: BinaryIO) -> Iterator[None]:
        """Look through it; a step for each line, so that whoever looks can stop."""
        for number, raw in raw_lines(file, self._longest):
            self.total += 1
            try:
                if self.total > self._most:
                    message = f"A batch may have {self._most} requests here."
                    raise BadLine(number, "too_many_tasks", message)
                self._is_new(line_of(number, raw, self._endpoint, self._longest))
            except BadLine as bad:
                self.errors.append(bad.error)
            if len(self.errors) >= MOST_ERRORS or self.total > self._most:
                return
            yield
        if not self.total:
            message = "There is no request in the file."
            self.errors.append({"code": "empty_file", "line": None, "message": message})

    def _is_new(self, line: BatchLine) -> None:
        """Raises BadLine. Of the ids a digest is held, so that long ones need no more memory."""
        digest = blake2b(line.custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._seen:
            message = f"custom_id {line.custom_id[:100]!r} was there before."
            raise BadLine(line.number, "duplicate_custom_id", message, "custom_id")
        self._seen.add(digest)
