"""Who may use the gateway: API keys, always by their hash."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from infergate.config.addresses import Network
from infergate.config.base import Section
from infergate.config.policies import Grant, KeyLimits
from infergate.config.types import FilePath, Name


def _sha256(value: str) -> str:
    match = re.fullmatch(r"(?:sha256:)?([0-9a-fA-F]{64})", value)
    if not match:
        raise ValueError("expected sha256: and the 64 hexadecimal digits of the key's hash")
    return match[1].lower()


class DeclaredKey(Grant):
    """A key kept in the configuration, as its hash."""

    hash: Annotated[str, AfterValidator(_sha256)] = Field(description="sha256:… of the key.")
    team: Name | None = Field(None, description="The team it belongs to, for usage and budgets.")
    expires: datetime | None = Field(
        None, description="Until when it is valid, such as 2027-01-31 or 2027-01-31T12:00:00Z."
    )

    @field_validator("expires")
    @classmethod
    def _in_a_known_zone(cls, value: datetime | None) -> datetime | None:
        """Without a zone it is UTC: the file may be read on several machines."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


class Anonymous(KeyLimits):
    """Callers without a key."""

    networks: list[Network] = Field(
        [], description="From where none is required, though it is elsewhere: a LAN."
    )


class Auth(Section):
    """API keys."""

    required: bool = Field(True, description="Refuse requests without a key.")
    keys_file: FilePath | None = Field(
        None,
        description='A file of lines "Bearer <key>" 1; # name, read and hashed when it changes.',
    )
    key_in_query: bool = Field(
        False,
        description="Take a key from the address, ?key=…, too; it may end in logs on the way.",
    )
    anonymous: Anonymous = Field(
        Anonymous(), description="What callers without a key may ask for, where none is required."
    )
    keys: dict[Name, DeclaredKey] = Field({}, description="Keys declared here by their hash.")

    @model_validator(mode="after")
    def _somebody_needs_one(self) -> Auth:
        if not self.required and self.anonymous.networks:
            raise ValueError(
                "required: false lets everybody in without a key; leave it out to let in only "
                "anonymous.networks"
            )
        return self
