"""`make peers`: what it compares, and how it starts a gateway in an engine's place."""

from __future__ import annotations

from pathlib import Path

from tests.peers.__main__ import listed, only_here, outcomes
from tests.peers.stand_in import address, replaced

SUITE = """<testsuites><testsuite>
<testcase classname="unit.test_basic" name="test_good"/>
<testcase classname="unit.test_basic" name="test_bad"><failure/></testcase>
<testcase classname="unit.test_basic" name="test_broken"><error/></testcase>
<testcase classname="unit.test_basic" name="test_left"><skipped/></testcase>
</testsuite></testsuites>"""


def test_what_passes_at_the_engine_alone_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(SUITE)
    direct = outcomes(tmp_path / "a.xml")
    assert direct == {
        "test_basic::test_good": "passed",
        "test_basic::test_bad": "failed",
        "test_basic::test_broken": "failed",
        "test_basic::test_left": "skipped",
    }
    through = {**direct, "test_basic::test_good": "failed"}
    assert only_here(direct, direct) == []
    assert only_here(direct, through) == ["test_basic::test_good"]
    assert only_here(direct, {}) == ["test_basic::test_good"]


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
