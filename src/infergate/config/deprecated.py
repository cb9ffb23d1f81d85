"""Names of models that go away, and what their callers are told of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from infergate.config.base import Section

if TYPE_CHECKING:
    from infergate.config.root import Config

LONGEST = 200
"""Bytes of a name that nginx keeps in a map (map_hash_bucket_size, templates/maps.conf.j2)."""

_PAGE = re.compile(r"https?://[!#%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]{1,500}")
"""Without what would end a link's target or begin one of nginx's variables (RFC 8288, 3)."""


def _page(value: str) -> str:
    if not _PAGE.fullmatch(value):
        raise ValueError(f"{value!r} is not the address of a page, http://… or https://…")
    return value


class Deprecated(Section):
    """A name that goes away. Days are UTC's."""

    since: date = Field(
        description="Since when it is not to be used, such as 2026-12-01; it may be to come."
    )
    sunset: date | None = Field(None, description="From when it may be gone.")
    refuse: bool = Field(False, description="From sunset on, requests for it are refused.")
    link: Annotated[str, AfterValidator(_page)] | None = Field(
        None, description="A page that says what to use instead."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Deprecated:
        if self.sunset is None:
            if self.refuse:
                raise ValueError("refuse needs a day from which on: sunset")
        elif self.sunset < self.since:
            raise ValueError(f"sunset ({self.sunset}) is before since ({self.since})")
        return self

    @property
    def gone_at(self) -> int | None:
        """From when it is refused, Unix seconds; None for never."""
        return _moment(self.sunset) if self.refuse and self.sunset is not None else None

    @property
    def headers(self) -> DeprecationHeaders:
        links = ["deprecation", *(["sunset"] if self.sunset else [])] if self.link else []
        return DeprecationHeaders(
            f"@{_moment(self.since)}",
            format_datetime(_midnight(self.sunset), usegmt=True) if self.sunset else "",
            ", ".join(f'<{self.link}>; rel="{each}"' for each in links),
        )


class DeprecationHeaders(NamedTuple):
    """Of an answer. deprecation: RFC 9745. sunset, and the relation of a link: RFC 8594."""

    deprecation: str
    sunset: str
    link: str


def deprecated_names(config: Config) -> Iterator[tuple[str, str, Deprecated]]:
    """Each such name, the model it stands for, and what is said of it."""
    for model, its in config.models.items():
        for name, said in its.deprecated.items():
            yield name, model, said


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _moment(day: date) -> int:
    return int(_midnight(day).timestamp())
