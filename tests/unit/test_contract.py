"""What Python and njs both know stands in infergate/contract alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import pytest

from infergate.contract.live import Score
from infergate.contract.njs import groups, text
from infergate.contract.route import Route, RouteBackend

NJS = Path(str(resources.files("infergate.nginx") / "njs"))
PYTHON = Path(str(resources.files("infergate")))


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
        for each in re.findall(
            r"\b(?:numbers|retries|cache|shadow|canary|bucket|ladder|entry|param|route|backend)\[\d\]",
            source,
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
    ours = dict(sources())
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
        for each in re.findall(r"(?i)flags\w*\)?\.indexOf\('[a-z]'\)", source)
    ]
    assert not found


def test_njs_has_no_places_of_a_route_and_no_scores_of_its_own() -> None:
    """By name. A ticket in the queue has a model too, and a pace goes up and down."""
    named = {each for of in (Route, RouteBackend, Score) for each in of.__members__}
    taken = named - {"MODEL", "DOWN"}
    found = [
        f"{name}: {each}"
        for name, source in sources().items()
        for each in re.findall(r"\b([A-Z][A-Z_]*) = [\d.e]+[,;]", source)
        if each in taken
    ]
    assert not found
