"""Backends as answers have them; apart, so that `infergate status` loads no database."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from infergate.admin.operation import Document


class BackendChange(Document):
    """What an operator changed of a backend, and what the file said instead."""

    backend: str
    what: str = Field(description="weight, add or remove.")
    value: dict[str, Any]
    instead_of: dict[str, Any] | None
    at: int = Field(description="Unix seconds.")
    who: str


class BackendEntry(Document):
    """A backend that is active, and who says that it is there."""

    url: str
    engine: str
    weight: int
    max_in_flight: int | None
    origin: str = Field(description='"file", "by hand", or how its group is found.')
    group: str | None
    changes: list[BackendChange]


class BackendGroup(Document):
    """A group of backends that are discovered."""

    found_by: str
    backends: list[str]
    left_out: list[str] = Field(description="Found, and named like a backend that is not of it.")
    problem: str | None
