"""A form with one file, read piece by piece: the file goes on to where it is kept, and the few
fields beside it are all that is held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from infergate.api.refusal import Refused

_LONGEST_FIELD = 4096
_MOST_PARTS = 20
_LONGEST_HEADERS = 8192
_FILE = "file"
_LONGEST_NAME = 255


@dataclass
class Form:
    """fields: name → text. name: what the client calls the file; None where it gave none. size: of
    the file, bytes."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    size: int = 0


async def read_form(
    content_type: str,
    pieces: AsyncIterator[bytes],
    keep: Callable[[bytes], Awaitable[None]],
    *,
    most_bytes: int,
) -> Form:
    """Read a form. keep: takes a piece of the file. Raises Refused where it is none, or too large;
    and whatever keep raises."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary or len(boundary) > 200:
        raise Refused("Send the file as multipart/form-data.", status=415)
    reader = _Reader(boundary)
    async for piece in pieces:
        for part in reader.feed(piece):
            reader.form.size += len(part)
            if reader.form.size > most_bytes:
                raise too_large(most_bytes)
            await keep(part)
    if not reader.ended:
        raise Refused("The form ends before its last boundary.")
    return reader.form


def too_large(most_bytes: int) -> Refused:
    message = f"The file is larger than the {most_bytes} bytes that are taken here."
    return Refused(message, status=413, param=_FILE, code="file_too_large")


class _Reader:
    """What the parser calls back."""

    def __init__(self, boundary: bytes) -> None:
        self.form, self.ended = Form(), False
        self._parts = self._headers_size = 0
        self._file: list[bytes] = []
        self._begin()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_part_data": self._data,
                "on_part_end": self._end_part,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> list[bytes]:
        """What of the file is in it. Raises Refused."""
        try:
            self._parser.write(piece)
        except FormParserError as problem:
            raise Refused(f"The form cannot be read: {str(problem)[:200]}") from None
        found, self._file = self._file, []
        return found

    def _begin(self) -> None:
        self._name, self._value = b"", b""
        self._disposition = b""
        self._is_file, self._field = False, ""
        self._text = bytearray()

    def _begin_part(self) -> None:
        self._begin()
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Refused(f"The form has more than {_MOST_PARTS} parts.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._file.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _LONGEST_FIELD:
            raise Refused(f"{self._field[:100]!r} is too long.", param=self._field[:100])

    def _end_part(self) -> None:
        if not self._is_file and self._field:
            self.form.fields[self._field] = self._text.decode("utf-8", "replace")

    def _bounded(self, size: int) -> None:
        self._headers_size += size
        if self._headers_size > _LONGEST_HEADERS:
            raise Refused("The headers of the form's parts are too long.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._bounded(end - start)
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._bounded(end - start)
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if self._field != _FILE:
            return
        if self.form.name is not None:
            raise Refused("The form has more than one file.", param=_FILE)
        self._is_file = True
        told = options.get(b"filename", b"").decode("utf-8", "replace")
        self.form.name = told.replace("\\", "/").rpartition("/")[2][:_LONGEST_NAME] or _FILE

    def _end(self) -> None:
        self.ended = True
