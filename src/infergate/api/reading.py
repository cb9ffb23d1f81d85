"""JSON from clients and backends, who may send anything."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any

Decode = Callable[[str], Any]


def _no_json(word: str) -> Any:
    """NaN and Infinity, which Python would take."""
    raise ValueError(word)


def decoder(number: Callable[[str], float] | None = None) -> Decode:
    """To be made once: `json.loads` makes one for each call. number: reads one with a fraction or
    an exponent; Python's `float`, if not said."""
    return json.JSONDecoder(parse_constant=_no_json, parse_float=number).decode


_usual = decoder()


def read(data: bytes, decode: Decode = _usual) -> Any:
    """JSON in UTF-8 and in nothing else, as njs reads it; a byte order mark is no part of it.

    Python would look for other encodings, and for that mark's in a file that it may not read any
    more: the tier is another user than the one that started it. Raises ValueError, RecursionError.
    """
    return decode(data.removeprefix(codecs.BOM_UTF8).decode())


def object_of(data: bytes) -> dict[str, Any] | None:
    """The same of an object; None where it is none."""
    try:
        found = read(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
