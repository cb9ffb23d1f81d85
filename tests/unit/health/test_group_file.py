"""The backends of a group that a file lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.health.group_file import read_group
from infergate.health.group_names import GroupUnknown


def found(tmp_path: Path, text: str) -> list[tuple[str, str, int | None]]:
    path = tmp_path / "group.json"
    path.write_text(text)
    return [(each.name, each.url, each.weight) for each in read_group("g", path).backends]


def test_urls_settings_and_prometheus_targets_are_understood(tmp_path: Path) -> None:
    text = """["http://10.0.0.5:8000", {"url": "http://10.0.0.6:8000", "name": "six", "weight": 2},
               {"targets": ["10.0.0.7:8000", "https://x.test"], "labels": {"job": "vllm"}}]"""
    assert found(tmp_path, text) == [
        ("g-10.0.0.5-8000", "http://10.0.0.5:8000", None),
        ("six", "http://10.0.0.6:8000", 2),
        ("g-10.0.0.7-8000", "http://10.0.0.7:8000", None),
        ("g-x.test-443", "https://x.test", None),
    ]
    assert found(tmp_path, "- http://10.0.0.5:8000\n- { url: http://x:1, name: y }\n")[1][0] == "y"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["http://10.0.0.5:80', "neither JSON nor YAML"),
        ("{}", "not a list"),
        ('["ftp://x"]', "entry 1: url: 'ftp://x' is not a URL"),
        ('[{"url": "http://x", "wait": 2}]', "entry 1: wait: "),
        ('[{"url": "http://x", "api_key": "k"}]', "entry 1: api_key: "),
        ('["http://x", "http://x"]', "g-x-80 twice"),
        ("[7]", "entry 1"),
    ],
)
def test_a_file_with_something_wrong_in_it_is_refused_as_a_whole(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(GroupUnknown, match=said):
        found(tmp_path, text)
    with pytest.raises(GroupUnknown, match="cannot be read"):
        read_group("g", tmp_path / "absent.json")


def test_long_names_stay_apart(tmp_path: Path) -> None:
    long = "a" * 60 + ".test"
    names = [each[0] for each in found(tmp_path, f'["http://{long}:1", "http://{long}:2"]')]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 63
