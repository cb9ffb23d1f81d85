"""What each feature makes of nginx's files stands beside its YAML, to be read and compared."""

from __future__ import annotations

import pytest

from tests.configurations import pairs

ANEW = "python -m tests.configurations.pairs writes them anew: is the difference what you meant?"


def test_the_smallest_configuration_is_rendered_as_shown() -> None:
    assert pairs.whole() == (pairs.HERE / f"{pairs.BASE}.conf").read_text(), ANEW


@pytest.mark.parametrize("name", pairs.names())
def test_a_feature_changes_what_is_shown(name: str) -> None:
    shown = (pairs.HERE / f"{name}.diff").read_text()
    assert shown, "a feature that changes nothing here is no pair"
    assert pairs.difference(name) == shown, ANEW


def test_no_difference_is_left_without_its_yaml() -> None:
    assert {path.stem for path in pairs.HERE.glob("*.diff")} == set(pairs.names())
