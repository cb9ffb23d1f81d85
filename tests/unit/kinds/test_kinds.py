"""What all kinds of inference servers have to keep to."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config import endpoints
from infergate.kinds import KINDS, OTHER, Reply

OTHER_FLAGS = frozenset("cpuh")
"""What else stands in a backend's flags (njs/route.js)."""


def test_letters_are_single_and_nobody_elses() -> None:
    letters = [kind.letter for kind in KINDS.values()]
    assert len(set(letters)) == len(letters)
    assert all(len(each) == 1 and each.islower() for each in letters)
    assert not OTHER_FLAGS & set(letters)


def test_names_of_other_tools_mean_one_kind() -> None:
    names = [each for kind in KINDS.values() for each in (kind.name, *kind.also)]
    assert len(set(names)) == len(names)


def test_paths_that_only_some_have_are_known() -> None:
    known = {*endpoints.SOME_HAVE, *endpoints.SOME_HAVE_FORMS, *endpoints.WEBSOCKETS}
    assert {path for kind in KINDS.values() for path in kind.has} == known


def test_each_kind_is_in_the_docs() -> None:
    page = Path(__file__).parents[3].joinpath("docs", "kinds.md").read_text()
    assert [kind.name for kind in KINDS.values() if f"| `{kind.name}` |" not in page] == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.name != OTHER])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"[" * 100_000, b'{"data": [1]}', b"7"]
)
def test_garbage_has_no_sign(kind, body) -> None:
    class Everywhere(dict[str, Reply]):
        def __missing__(self, path: str) -> Reply:
            return Reply(200, body)

    assert not kind.sign(Everywhere())
