"""The dashboards for Grafana are those that tests/grafana describes."""

from __future__ import annotations

import json
import re

from infergate.metrics.counted import COUNTED, OF_KEYS
from infergate.metrics.live import LIVE
from infergate.metrics.shipped import dashboards
from tests.grafana.written import texts


def test_they_are_current() -> None:
    assert dict(dashboards()) == texts(), "python -m tests.grafana"


def test_they_show_only_metrics_that_there_are() -> None:
    known = {each.name for each in (*COUNTED, *OF_KEYS, *LIVE)}
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}
    for _, text in dashboards():
        for panel in json.loads(text)["panels"]:
            for target in panel["targets"]:
                named = set(re.findall(r"\b(?:infergate|gen_ai_server)_\w+", target["expr"]))
                assert named, panel["title"]
                assert named <= known, panel["title"]


def test_every_panel_says_what_it_is_and_stands_alone_in_its_place() -> None:
    for name, text in dashboards():
        board = json.loads(text)
        assert board["uid"] == name.removesuffix(".json")
        assert board["tags"] == ["infergate"]
        places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in board["panels"]]
        assert len(set(places)) == len(places), places
        assert len({each["id"] for each in board["panels"]}) == len(places)
        assert all(each["datasource"]["uid"] == "${datasource}" for each in board["panels"])
