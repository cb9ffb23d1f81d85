"""`infergate status` on a terminal of 80 columns, and how it ends."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from infergate.cli import observe
from infergate.cli.certificate_rows import soonest_in_words
from infergate.cli.status import is_well, print_status, tier_in_words
from infergate.supervise.tier_processes import TierProcess, TierProcesses, all_follow, read_tier
from tests.gateway import run_here


def backend(name: str, state: str = "up", **said: Any) -> dict[str, Any]:
    return {
        "name": name, "url": "http://10.0.0.1:8000", "weight": 1, "origin": "file", "group": None,
        "changes": [], "state": state, "reason": "connection refused by that which listens there",
        "since": time.time() - 7265, "kind": "vllm", "models": ["meta-llama/Llama-3.1-70B", "b"],
        "models_problem": None, "running": 3, "waiting": 2, "kv_cache_use": 0.42, "in_flight": 2,
        **said,
    }  # fmt: skip


def document(*backends: dict[str, Any], **said: Any) -> dict[str, Any]:
    return {
        "running": True, "url": "http://127.0.0.1:8080", "config": "infergate.yaml",
        "processes": {"supervisor": 1, "nginx": 2, "control": 3}, "engine": None, "revision": 3,
        "file_applied": True, "keys": 12, "keys_file": None, "ledger": None, "failing": [],
        "drain": {"workers": 0, "streams": 0, "oldest_s": 0, "left_s": 0}, "set_aside": [],
        "endpoints": [], "tier": [],
        "backends": list(backends), "removed_backends": [], "groups": {}, "services": [],
        "certificates": [], "cache": {}, "uncopied": {}, "memory": [], "missing_models": [],
        "conflicts": [], **said,
    }  # fmt: skip


def part(**said: Any) -> dict[str, Any]:
    return {"name": "api", "pid": None, "restarts": 0, "since": None, "ended": "", **said}


def printed(*backends: dict[str, Any], everything: bool = False) -> list[str]:
    with redirect_stdout(io.StringIO()) as out:
        print_status(document(*backends), everything=everything)
    return out.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_of_a_thousand_backends_those_are_listed_that_matter() -> None:
    backends = [backend(f"gpu-rack{at // 10}-node{at}") for at in range(1000)]
    backends[700] = backend("lost", "down")
    backends[800] = backend("out", "draining")
    lines = printed(*backends)
    assert len(lines) <= 26
    assert max(map(len, lines)) <= 80
    at = {name: next(i for i, each in enumerate(lines) if each.startswith(name))
          for name in ("lost", "out", "gpu")}  # fmt: skip
    assert at["lost"] < at["out"] < at["gpu"]
    assert lines[-1] == "and 980 up; `infergate status --all` lists them."
    every = printed(*backends, everything=True)
    assert {each["name"] for each in backends} <= {
        line.split()[0] for line in every if line.strip()
    }


def test_all_of_many_with_long_names_stay_within_the_terminal() -> None:
    models = [f"organisation/a-model-with-a-long-name-{at}" for at in range(40)]
    backends = [backend(f"{at}-" + "gpu" * 20, models=models) for at in range(150)]
    backends += [backend("\u6a21\u578b" * 30, "down"), backend("short")]
    lines = printed(*backends, everything=True)
    assert max(cell_len(each) for each in lines) <= 80
    (head,) = [each for each in lines if each.startswith("BACKEND ")]
    names, last = head.index("ENGINE") - 2, head.index("MODELS")
    rows = lines[lines.index(head) + 1 :]
    told = "".join(each[:names] for each in rows).replace(" ", "")
    assert all(each["name"] in told for each in backends[:150])
    told = "".join(each[last:].ljust(80 - last) for each in rows if each.isascii())
    assert ", ".join(models[:4]) + " and 36 more" in told
    assert [each for each in lines if each.startswith("short ")]


def test_of_many_that_are_down_the_rest_is_counted_by_state() -> None:
    lines = printed(*(backend(f"b{at}", "down" if at % 2 else "hung") for at in range(100)))
    assert "and 30 down, 50 hung;" in " ".join(lines)


def test_a_long_name_and_many_models_leave_room_for_the_reason() -> None:
    models = [f"organisation/model-{at}" for at in range(40)]
    lines = printed(backend("a" * 63, "down"), backend("b", models=models))
    assert max(map(len, lines)) <= 80
    assert "connection" in " ".join(lines)
    (well,) = [each for each in lines if each.startswith("b ")]
    assert well.endswith("…")


UP = {"supervisor": 1, "nginx": 2, "control": 3}


@pytest.mark.parametrize(
    ("said", "well"),
    [
        ({}, True),
        ({"backends": [backend("a"), backend("b", "slow")]}, True),
        ({"backends": [backend("a", "draining"), backend("b", "unknown")]}, True),
        ({"backends": [backend("a"), backend("b", "down")]}, False),
        ({"backends": [backend("a", "hung")]}, False),
        ({"processes": {**UP, "control": None}}, False),
        ({"processes": dict.fromkeys(UP), "running": False}, False),
        ({"services": [{"state": "up", "login": None}]}, True),
        ({"services": [{"state": "down", "login": None}]}, False),
        ({"services": [{"state": "up", "login": {"state": "down"}}]}, False),
        ({"tier": [part(), part(pid=7, since=1.0, restarts=2, ended="-9")]}, True),
        ({"tier": [part(since=1.0, ended="-9")]}, False),
    ],
)
def test_what_is_down_makes_it_unwell(said: dict[str, Any], well: bool) -> None:
    assert is_well(document(**said)) is well


def test_a_part_of_the_api_tier_that_ended_is_told_with_how_and_since_when() -> None:
    def said(**of: Any) -> str | None:
        return tier_in_words(TierProcess(**part(**of)), 100.0)

    assert said() is None, "nobody has asked it"
    assert said(pid=7, since=50.0) is None
    assert said(since=40.0, restarts=1, ended="-9") == (
        "The API tier's process api is down since 1 min 0 s (ended with -9), started again 1 time."
    )
    assert said(pid=8, since=40.0, restarts=2, ended="1") == (
        "The API tier's process api (8) runs since 1 min 0 s; started again 2 times, the last one "
        "ended with 1."
    )


def test_how_the_parts_of_the_api_tier_are_is_left_for_other_processes(tmp_path: Path) -> None:
    file = tmp_path / "tier.json"
    file.write_text('{"processes": [{"name": "api", "pid": 1}]}')
    assert read_tier(file)
    every = TierProcesses(file)
    assert read_tier(file) == (), "an earlier supervisor's"
    api, batches = every.watch("api"), every.watch("batches")
    api.began(7)
    api.ended(-9)
    down = read_tier(file)[0]
    assert (down.pid, down.ended, down.restarts, down.is_down) == (None, "-9", 0, True)
    api.ended("Cannot allocate memory")
    assert read_tier(file)[0].since == down.since, "it was not up in between"
    api.began(8)
    up = read_tier(file)[0]
    assert (up.pid, up.restarts, up.is_down) == (8, 1, False)
    every.forget(api)
    assert [(each.name, each.is_down) for each in read_tier(file)] == [("batches", False)]
    every.forget(batches)
    assert read_tier(file) == ()
    for damaged in ("[{}, 3]", '{"processes": [{}, 3]}', '{"processes": 3}', "3"):
        file.write_text(damaged)
        assert read_tier(file) == ()
        assert not all_follow(file, "revisions/2")


def test_all_follow_a_revision_when_the_last_of_the_tier_does(tmp_path: Path) -> None:
    file = tmp_path / "tier.json"
    assert not all_follow(file, "revisions/2")
    every = TierProcesses(file)
    for who, revision, done in (("api", 2, True), ("batches", 1, False), ("batches", 2, True)):
        every.follows(who, f"revisions/{revision}")
        assert all_follow(file, "revisions/2") == done


def test_a_gateway_that_does_not_run_ends_with_3(tmp_path) -> None:
    (tmp_path / "infergate.yaml").write_text("backends: { a: http://127.0.0.1:9 }\n")
    command = ["status", "-c", str(tmp_path / "infergate.yaml")]
    ran = run_here(command, {"INFERGATE_HOME": str(tmp_path / "home")})
    assert (ran.returncode, "is not running" in ran.stdout) == (observe.UNWELL, True)
    assert ran.returncode == 3
    ran = run_here([*command, "--json"], {"INFERGATE_HOME": str(tmp_path / "home")})
    assert (ran.returncode, '"running": false' in ran.stdout) == (3, True)


def test_a_certificate_that_has_ended_is_not_said_to_end() -> None:
    def said(*ends: float) -> str | None:
        return soonest_in_words([{"not_after": each} for each in ends], 1000.0)

    assert said(4600.0) == "TLS: 1 certificate ends in 1 h 0 min"
    assert said(4600.0, 900.0) == "TLS: 2 certificates, the first has ended"
    assert said() is None
