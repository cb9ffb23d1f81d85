"""Who may use the gateway: API keys, always by their hash."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from infergate.config.base import Section
from infergate.config.policies import KeyLimits, KeyTerms
from infergate.config.types import FilePath, ModelName, Name


def _sha256(value: str) -> str:
    match = re.fullmatch(r"(?:sha256:)?([0-9a-fA-F]{64})", value)
    if not match:
        raise ValueError("expected sha256: and the 64 hexadecimal digits of the key's hash")
    return match[1].lower()


class DeclaredKey(KeyTerms):
    """A key kept in the configuration, as its hash."""

    hash: Annotated[str, AfterValidator(_sha256)] = Field(description="sha256:… of the key.")
    models: list[ModelName] = Field(
        ["*"], description="Models it may use; qwen-* is every name that begins so."
    )
    manage: bool = Field(False, description="May pull, delete and create models on Ollama.")


class Auth(Section):
    """API keys."""

    required: bool = Field(True, description="Refuse requests without a key.")
    keys_file: FilePath | None = Field(
        None, description='A file of lines "Bearer <key>" 1; read and hashed when it changes.'
    )
    anonymous: KeyLimits = Field(
        KeyLimits(), description="What callers without a key may ask for, where none is required."
    )
    keys: dict[Name, DeclaredKey] = Field({}, description="Keys declared here by their hash.")
