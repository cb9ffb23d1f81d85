"""The dashboards for Grafana are those that tests/grafana describes."""

from __future__ import annotations

import json
import re

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from infergate.metrics.counted import COUNTED, OF_KEYS
from infergate.metrics.live import LIVE
from infergate.metrics.shipped import dashboards
from tests.grafana.written import texts


def test_they_are_current() -> None:
    assert dict(dashboards()) == texts(), "python -m tests.grafana"


def test_nothing_in_them_is_null_and_grafana_s_own_model_reads_them_back_whole() -> None:
    for name, text in dashboards():
        assert ": null" not in text, name
        board = json.loads(text)
        read = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
        for panel, known in zip(board["panels"], read["panels"], strict=True):
            assert panel.items() <= known.items(), (name, panel["title"])
        for part in ("title", "uid", "tags", "time", "refresh", "links", "schemaVersion"):
            assert board[part] == read[part], (name, part)


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
