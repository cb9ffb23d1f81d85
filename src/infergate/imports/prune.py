"""What no infergate.yaml may say is taken out of a draft, and told: whatever a file had in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from infergate.config.document import environment_names, read_document
from infergate.config.root import Config
from infergate.imports.draft import Draft
from infergate.imports.write import as_yaml

_ANYTHING = "http://127.0.0.1:1"
"""Stands for every value of the environment: it may be a secret, or an address."""
_MOST_ROUNDS = 20


def prune(draft: Draft) -> None:
    """Leave only what is valid in itself."""
    for _ in range(_MOST_ROUNDS):
        if not draft.settings.get("backends"):
            return  # a part: it is looked at when it is whole
        text = as_yaml(draft, "")
        data = read_document(text, "", dict.fromkeys(environment_names(text), _ANYTHING)).data
        try:
            Config.model_validate(data)
        except ValidationError as problem:
            for each in problem.errors(include_url=False, include_input=False):
                _take_out(draft, [str(part) for part in each["loc"]], each["msg"])
        else:
            return


def _take_out(draft: Draft, path: Sequence[str], why: str) -> None:
    """The deepest of a path that is there."""
    section: Any = draft.settings
    found: list[str] = []
    holder, name = section, ""
    for part in path:
        if isinstance(section, dict) and part in section:
            holder, name = section, part
            section = section[part]
            found.append(part)
        elif isinstance(section, list) and part.isdigit() and int(part) < len(section) > 1:
            del section[int(part)]  # the others of a list may be good
            break
    else:
        if found:
            del holder[name]
    if found:
        draft.lost(".".join(found), f"left out: {why.removeprefix('Value error, ')}")
