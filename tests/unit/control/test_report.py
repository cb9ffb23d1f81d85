"""The report of the health checks on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergate.control.report import read_inventories, read_report, write_report


def test_an_empty_report_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    write_report(path, [], {}, {}, [("model", "backend")])
    report = read_report(path)
    assert report is not None
    assert report.missing == (("model", "backend"),)


@pytest.mark.parametrize("text", ["", "{", '{"backends": [{"name": "a"}]}', json.dumps({"v": 1})])
def test_a_report_of_another_version_or_half_of_one_counts_as_none(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "health.json"
    path.write_text(text)
    assert read_report(path) is None
    assert read_inventories(path) == {}
