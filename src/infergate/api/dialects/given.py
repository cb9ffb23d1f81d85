"""What a client sent, read with care: each function returns its type or raises Refused."""

from __future__ import annotations

from typing import Any

from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused


def text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Refused(f"'{where}' must be a string.", param=where)
    return value


def optional_text(value: Any, where: str) -> str:
    """ "" where it is missing."""
    return "" if value is None else text(value, where)


def mapping(value: Any, where: str) -> Body:
    if not isinstance(value, dict):
        raise Refused(f"'{where}' must be an object.", param=where)
    return value


def optional_mapping(value: Any, where: str) -> Body:
    """{} where it is missing."""
    return {} if value is None else mapping(value, where)


def sequence(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"'{where}' must be an array.", param=where)
    return value


def optional_sequence(value: Any, where: str) -> list[Any]:
    """[] where it is missing."""
    return [] if value is None else sequence(value, where)


def number(value: Any, where: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"'{where}' must be a number.", param=where)
    return value


def whole_number(value: Any, where: str, least: int) -> int:
    """At least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Refused(f"'{where}' must be a whole number of at least {least}.", param=where)
    return value


def flag(value: Any, where: str) -> bool:
    """False where it is missing."""
    if value is not None and not isinstance(value, bool):
        raise Refused(f"'{where}' must be true or false.", param=where)
    return bool(value)
