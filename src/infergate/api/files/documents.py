"""Files and lists as OpenAI's API writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from infergate.api.refusal import Refused
from infergate.store.files import StoredFile

T = TypeVar("T")

_SHORTEST_S, _LONGEST_S = 3600, 30 * 86400
"""What OpenAI's `expires_after` may say."""


def file_document(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def list_document(
    found: tuple[Sequence[T], bool] | None, document: Callable[[T], Mapping[str, Any]]
) -> dict[str, Any]:
    """A page of a list. Raises Refused where it was to begin behind what is not there."""
    if found is None:
        raise Refused("There is nothing of this id to go on after.", param="after")
    items, more = found
    data = [document(each) for each in items]
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {
        "object": "list",
        "data": data,
        "first_id": ends[0],
        "last_id": ends[1],
        "has_more": more,
    }


def limit_of(text: str | None, *, usual: int, most: int) -> int:
    """`limit` of a list. Raises Refused."""
    if text is None:
        return usual
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise Refused(f"limit is a whole number from 1 to {most}.", param="limit")
    return int(text)


def kept_for(param: str, anchor: object, seconds: object) -> int | None:
    """Seconds that a file is kept, as `expires_after` says; None where it says nothing. Raises
    Refused."""
    if anchor is None and seconds is None:
        return None
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit():
        seconds = int(seconds[:9])
    if anchor != "created_at" or type(seconds) is not int:
        raise Refused(f"{param} is {{anchor: created_at, seconds: N}}.", param=param)
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise Refused(f"{param}.seconds is from {_SHORTEST_S} to {_LONGEST_S}.", param=param)
    return seconds
