"""Whatever a model, a key or an engine is called, Prometheus reads it as it is."""

from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infergate.metrics.exposition import exposition
from infergate.metrics.family import SUM, Family, distributed, measured

GAUGE = Family("infergate_x", "gauge", 'A "thing" with a \\ and\na new line.', ("model",))
TIMES = Family(
    "infergate_t_seconds", "histogram", "Times.", ("model",), bounds=(0.1, 1), scale=1000
)


@pytest.mark.parametrize(
    "name",
    ["m", 'a"b', "a\\b", "a\nb", "a\\nb", 'x"} 7\ninfergate_y{z="', "ü模", "", "\u2028", "{}"],
)
def test_names_are_told_as_they_are(name: str) -> None:
    text = exposition([measured(GAUGE, {(name,): 3.5})])
    (family,) = text_string_to_metric_families(text)
    assert [(each.labels, each.value) for each in family.samples] == [({"model": name}, 3.5)]
    assert len(text.split("\n")) == 4, "HELP, TYPE, the sample, the end"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, None])
def test_numbers_that_are_none_are_left_out(value: float | None) -> None:
    assert exposition([measured(GAUGE, {("m",): value})]) == ""


def test_a_histogram_is_cumulative() -> None:
    text = exposition([distributed(TIMES, {("m",): {0: 2, 2: 1, SUM: 5100}})])
    (family,) = text_string_to_metric_families(text)
    found = {
        (each.name.removeprefix("infergate_t_seconds"), each.labels.get("le", "")): each.value
        for each in family.samples
    }
    assert found == {
        ("_bucket", "0.1"): 2,
        ("_bucket", "1.0"): 2,
        ("_bucket", "+Inf"): 3,
        ("_sum", ""): 5.1,
        ("_count", ""): 3,
    }
