"""What Python and njs both know stands in infergate/contract alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import pytest

from infergate.contract.njs import constants, groups, text

NJS = Path(str(resources.files("infergate.nginx") / "njs"))
PYTHON = Path(str(resources.files("infergate")))

ITS_OWN = frozenset(
    f"{each}.js"
    for each in (
        *("route", "balance", "affinity", "usable", "busyness", "turns", "work", "hedge", "queue"),
    )
)
"""Balancing has its places as its own constants: those here must be the same."""

_DIGITS = r"const ([A-Z][A-Z_]* = [\d.e]+(?:, [A-Z][A-Z_]* = [\d.e]+)*);"


def sources() -> Mapping[str, str]:
    """The files of njs without comments."""
    return {
        each.name: re.sub(r"(?m)(^|\s)//.*$", "", each.read_text())
        for each in NJS.glob("*.js")
        if each.name != "contract.js"
    }


def test_njs_has_the_constants_of_the_contract() -> None:
    assert (NJS / "contract.js").read_text() == text(), "make docs"


def test_a_place_in_a_policy_or_a_route_is_no_number_in_njs() -> None:
    found = [
        f"{name}: {each}"
        for name, source in sources().items()
        if name not in ITS_OWN
        for each in re.findall(
            r"\b(?:numbers|retries|cache|shadow|canary|bucket|ladder|entry|param)\[\d\]", source
        )
        # The rates of a policy are those of a bucket, in the same order.
        if not re.fullmatch(r"numbers\[[012]\]", each)
    ]
    assert not found


@pytest.mark.parametrize("kind", ["Against", "Why", "BucketOf", "Waiting", "CountedKey"])
def test_a_word_of_the_contract_stands_in_neither_language_literally(kind: str) -> None:
    words = [value for name, _, group in groups() if name == kind for value in group.values()]
    # One letter is no word, and "-> " is in many a text.
    words = [each for each in words if len(str(each)) > 1 and each != "-> "]
    ours = {n: s for n, s in sources().items() if n not in ITS_OWN}
    # A backend's state is "down" for other parts of Python too.
    for path in () if kind == "Against" else PYTHON.rglob("*.py"):
        if path.parent.name not in ("contract", "versions"):
            ours[str(path.relative_to(PYTHON))] = path.read_text()
    found = [
        f"{name}: {each}"
        for name, source in ours.items()
        for each in words
        if _has(source, str(each), exact=kind in ("Against", "Waiting"))
        and (name, each) not in OTHERS
    ]
    assert not found


OTHERS = frozenset((("hedge_times.js", "n "), ("state/keys.py", "k ")))
"""Where the same word means something else."""


def _has(source: str, word: str, *, exact: bool) -> bool:
    return any(f"{quote}{word}{quote if exact else ''}" in source for quote in "'\"")


def test_flags_are_asked_by_name() -> None:
    found = [
        f"{name}: {each}"
        for name, source in sources().items()
        if name not in ITS_OWN
        for each in re.findall(r"(?i)flags\w*\)?\.indexOf\('[a-z]'\)", source)
    ]
    assert not found


def test_what_balancing_has_of_its_own_is_the_same() -> None:
    names = constants()
    places = {
        name: value
        for name, value in names.items()
        if name.startswith(("ROUTE_", "ROUTE_BACKEND_"))
    }
    for file in ITS_OWN:
        for row in re.findall(_DIGITS, (NJS / file).read_text()):
            for each in row.split(", "):
                name, _, value = each.partition(" = ")
                if (
                    own := places.get(f"ROUTE_BACKEND_{name}", places.get(f"ROUTE_{name}"))
                ) is not None:
                    assert (file, name, float(value)) == (file, name, float(str(own)))


def test_scores_are_told_apart_by_what_njs_adds() -> None:
    said = re.search(
        r"const FULL = (\S+), BACKUP = (\S+), OPEN = (\S+), DOWN = (\S+),",
        (NJS / "balance.js").read_text(),
    )
    assert said is not None
    names = constants()
    wanted = [names[f"SCORE_{each}"] for each in ("FULL", "BACKUP", "OPEN", "DOWN")]
    assert [float(each) for each in said.groups()] == wanted
