"""`make peers`: what it compares, and how it starts a gateway in an engine's place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tests.peers
from tests.peers.outcomes import Difference, differences, listed, table
from tests.peers.stand_in import address, api_key, replaced

SUITE = """
import pytest

def test_good(): pass
def test_bad(): assert False
@pytest.fixture
def broken(): raise OSError
def test_broken(broken): pass
@pytest.fixture
def ends_badly():
    yield
    raise OSError
def test_ends_badly(ends_badly): pass
def test_left(): pytest.skip()
@pytest.mark.parametrize("x", ["a::b"])
def test_many(x): pass
"""

DIRECT = {
    "unit/test_basic.py::test_good": "passed",
    "unit/test_basic.py::test_bad": "failed",
    "unit/test_basic.py::test_broken": "failed",
    "unit/test_basic.py::test_ends_badly": "failed",
    "unit/test_basic.py::test_left": "skipped",
    "unit/test_basic.py::test_many[a::b]": "passed",
}


def _recorded(suite: Path, **environ: str) -> dict[str, str]:
    told = suite / "told.json"
    folder = str(Path(tests.peers.__file__).parent)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "recorder", "-p", "no:cacheprovider"],
        cwd=suite,
        env={
            **os.environ,
            "PYTHONPATH": folder,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the suite has none of ours
            "PEERS_OUTCOMES": str(told),
            **environ,
        },
        check=False,
        capture_output=True,
    )
    return dict(json.loads(told.read_text()))


def test_what_each_test_of_a_suite_did_is_recorded_and_only_what_passed_runs_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_basic.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    assert _recorded(tmp_path) == DIRECT
    only = tmp_path / "only.json"
    only.write_text(json.dumps(["unit/test_basic.py::test_good"]))
    again = _recorded(tmp_path, PEERS_ONLY=str(only))
    assert again == {"unit/test_basic.py::test_good": "passed"}


def test_what_passes_at_the_engine_alone_is_found_with_its_reason_if_it_has_one() -> None:
    good, many = "unit/test_basic.py::test_good", "unit/test_basic.py::test_many[a::b]"
    assert differences(DIRECT, DIRECT, []) == []
    through = {good: "failed", many: "passed"}
    assert differences(DIRECT, through, []) == [Difference("test_basic::test_good", False)]
    assert differences(DIRECT, {good: "passed"}, ["test_basic::test_many["]) == [
        Difference("test_basic::test_many[a::b]", True)
    ]
    assert list(table(DIRECT, through))[2:] == ["| unit/test_basic.py | 6 | 2 | 1 |"]


def test_an_engine_is_started_elsewhere_with_a_model_that_is_here() -> None:
    asked = ["--host", "127.0.0.1", "--port", "8080", "--hf-repo", "a/b", "-c", "512"]
    assert address(asked) == "127.0.0.1:8080"
    assert address(["--host", "127.0.0.1,::1", "--port", "1"]) == "127.0.0.1:1"
    assert replaced(asked, None, None) == asked
    asked[1] = "0.0.0.0"
    assert replaced(asked, "/m.gguf", 1) == [
        *("--host", "127.0.0.1", "--port", "1", "-c", "512"),
        *("--model", "/m.gguf"),
    ]


def test_each_difference_has_a_reason() -> None:
    assert "test" not in listed()  # the table's own head


def test_an_engine_s_key_is_found_where_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    assert not api_key(["serve", "m"])
    assert api_key(["serve", "m", "--api-key", "k"]) == "k"
    monkeypatch.setenv("VLLM_API_KEY", "e")
    assert api_key(["serve", "m"]) == "e"
    assert api_key(["serve", "m", "--api-key", "k"]) == "k"
