"""Keys as a text, to bring them from one gateway to another: hashes, never secrets."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infergate.errors import KeyInputError
from infergate.state.keys_file import keys_of_lines
from infergate.store.keys import StoredKey
from infergate.store.names import checked_name
from infergate.store.secrets import StoredSecret

_FORMAT = "infergate-keys-1"
_HASH = re.compile(r"[0-9a-f]{64}")
_KEYS = TypeAdapter(list[StoredKey])


def text_of_keys(keys: Iterable[StoredKey]) -> str:
    """What keys_of_text reads."""
    written = [
        {
            **dataclasses.asdict(key),
            "allowed": key.allowed.model_dump(mode="json", exclude_unset=True),
        }
        for key in keys
    ]
    return json.dumps({"format": _FORMAT, "keys": written}, indent=1, ensure_ascii=False)


def keys_of_text(text: str, name: str) -> tuple[list[StoredKey], bool]:
    """The keys of an export, or of a file of lines `"Bearer <key>" 1;`; and whether the text has
    them in clear.

    name: the file's, for the keys' names and for errors.
    Raises KeyInputError if it is neither; it never quotes the text.
    """
    if text.lstrip().startswith("{"):
        return _exported(text, name), False
    now = int(time.time())
    return [
        StoredKey("", key.name, now, (StoredSecret(key.hash, "", now),))
        for key in keys_of_lines(text, name)
    ], True


def _exported(text: str, name: str) -> list[StoredKey]:
    try:
        document: Any = json.loads(text)
    except json.JSONDecodeError as problem:
        raise KeyInputError(f"is not JSON: {problem}", where=name) from None
    except RecursionError:
        raise KeyInputError("is nested too deeply", where=name) from None
    if document.get("format") != _FORMAT:
        raise KeyInputError("is not what `infergate keys export` writes", where=name)
    try:
        keys = _KEYS.validate_python(document.get("keys"))
    except ValidationError as problem:
        first = problem.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise KeyInputError(f"keys.{place}: {first['msg']}", where=name) from None
    for key in keys:
        # Names of imported lines, "file:7", are ours too.
        checked_name(key.name.replace(":", "-"), "key")
        for each in (key.team, key.policy):
            if each is not None:
                checked_name(each, "team")
        if not key.secrets or not all(_HASH.fullmatch(secret.hash) for secret in key.secrets):
            raise KeyInputError(f"the key {key.name!r} has no hash", where=name)
    return keys
