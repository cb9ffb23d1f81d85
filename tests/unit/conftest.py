"""For all tests of this folder: what hypothesis makes up may take as long as it does. On a busy
machine a first example takes longer than the 200 ms that are its usual deadline."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.mark.expression import Expression
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only marked tests are wanted (`make e2e`: long ones), a file that marks none as long is
    not loaded: every process of a run loads all of them, which takes half of its start."""
    wanted = config.option.markexpr
    if not wanted or collection_path.suffix != ".py":
        return None
    if Expression.compile(wanted).evaluate(lambda _, **__: False):
        return None  # those without marks
    return "pytest.mark.long" not in collection_path.read_text() or None
