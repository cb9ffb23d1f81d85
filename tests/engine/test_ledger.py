"""Usage is counted, and budgets, rotated and revoked keys take effect without a reload."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from infergate.live.drain import nginx_workers
from infergate.paths import Home
from tests.access_log import in_logs
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What the control plane does beside nginx: one engine tells as much as two."""

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }} }}
models: {{ m: {{ backends: [a], price: {{ input: 1, output: 2 }} }} }}
usage: {{ rotate: 64k }}
"""

EFFECTIVE_S = 2.0
"""A budget that is used up, or a key that is revoked, counts within so long."""

Counted = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def counted(engine: str) -> Iterator[Counted]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url))), a


def workers(it: Gateway) -> frozenset[int]:
    return nginx_workers(it.status()["processes"]["nginx"])


def usage(it: Gateway, by: str = "key") -> list[dict[str, Any]]:
    ran = it.run("usage", "--by", by, "--format", "json")
    rows: list[dict[str, Any]] = json.loads(ran.stdout)["rows"]
    return rows


def refused_after(ask: Callable[[], int], status: int) -> float:
    """Seconds until the answer is this status."""
    began = time.monotonic()
    until(lambda: ask() == status)
    return time.monotonic() - began


def test_requests_tokens_and_money_are_counted_by_key(counted: Counted) -> None:
    it, _ = counted
    name = f"counted-{time.monotonic_ns()}"
    key = json.loads(it.run("keys", "create", name, "--json").stdout)["key"]
    for _ in range(3):
        assert it.chat(key=key).status_code == 200
    assert it.chat("nobody-has-it", key=key).status_code == 404

    def row() -> dict[str, Any] | None:
        found = [each for each in usage(it) if each["key"] == name]
        return found[0] if found and found[0]["requests"] == 4 else None

    found = until(row)
    used = (found["prompt_tokens"], found["completion_tokens"])
    assert found["errors"] == 1
    assert used[0] > 0
    assert used[1] > 0
    assert found["cost"] == pytest.approx((used[0] + 2 * used[1]) / 1e6)
    shown = it.run("usage", "--by", "key,model", "--since", "1h").stdout
    assert name in shown
    csv = it.run("usage", "--by", "key,hour", "--format", "csv").stdout.splitlines()
    assert csv[0].startswith("key,hour,requests,errors,prompt_tokens")


def test_a_killed_worker_takes_no_line_with_it_that_was_written_and_is_told(
    counted: Counted,
) -> None:
    it, _ = counted
    name = f"killed-{time.monotonic_ns()}"
    key = json.loads(it.run("keys", "create", name, "--json").stdout)["key"]

    def requests() -> int:
        return sum(each["requests"] for each in usage(it) if each["key"] == name)

    before = it.status()["ledger"]["killed_workers"]
    for killed, sent in enumerate((10, 20), 1):
        for _ in range(10):
            assert it.chat(key=key).status_code == 200
        until(lambda sent=sent: requests() == sent)
        victim, *_ = alive = workers(it)
        os.kill(victim, signal.SIGKILL)
        until(lambda alive=alive: len(workers(it)) == len(alive) and workers(it) != alive)
        until(lambda n=before + killed: it.status()["ledger"]["killed_workers"] == n)
    assert "nginx died" in it.run("status").stdout
    assert it.chat(key=key).status_code == 200
    until(lambda: requests() == 21)


def test_a_budget_that_is_used_up_stops_its_key_and_no_other(counted: Counted) -> None:
    it, _ = counted
    before = workers(it)
    name = f"poor-{time.monotonic_ns()}"
    made = it.run("keys", "create", name, "--budget", "20-tokens/day", "--json")
    key = json.loads(made.stdout)["key"]
    assert it.chat(key=key).status_code == 200
    assert it.chat(key=key).status_code == 200
    assert refused_after(lambda: it.chat(key=key).status_code, 429) < EFFECTIVE_S
    refused = it.chat(key=key)
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert "20-tokens/day" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 86400
    assert it.chat().status_code == 200
    assert "used" in it.run("keys", "show", name).stdout
    assert workers(it) == before


def test_a_larger_budget_of_its_policy_lets_a_key_go_on(counted: Counted) -> None:
    it, _ = counted
    it.run("policies", "set", "small", "--budget", "10-tokens/day")
    key = it.new_key("small", "--policy", "small")
    it.chat(key=key)
    refused_after(lambda: it.chat(key=key).status_code, 429)
    it.run("policies", "set", "small", "--budget", "1M-tokens/day")
    assert refused_after(lambda: it.chat(key=key).status_code, 200) < EFFECTIVE_S


def test_a_team_shares_its_budget_with_keys_that_are_revoked_too(counted: Counted) -> None:
    it, _ = counted
    team = f"team-{time.monotonic_ns()}"
    it.run("teams", "create", team, "--budget", "3-requests/day")
    keys = [it.new_key("member", "--team", team) for _ in range(2)]
    for key in keys:
        assert it.chat(key=key).status_code == 200
    listed = json.loads(it.run("keys", "list", "--json").stdout)
    it.run("keys", "revoke", next(key["id"] for key in listed if key["team"] == team))
    assert it.chat(key=keys[1]).status_code == 200
    assert refused_after(lambda: it.chat(key=keys[1]).status_code, 429) < EFFECTIVE_S
    assert team in it.chat(key=keys[1]).json()["error"]["message"]
    row = until(lambda: [each for each in usage(it, "team") if each["team"] == team])[0]
    assert row["requests"] - row["errors"] >= 3


def test_a_rotated_key_has_both_secrets_for_the_grace_and_then_one(counted: Counted) -> None:
    it, _ = counted
    name = f"rotated-{time.monotonic_ns()}"
    old = json.loads(it.run("keys", "create", name, "--json").stdout)["key"]
    new = json.loads(it.run("keys", "rotate", name, "--grace", "2s", "--json").stdout)["key"]
    assert [it.chat(key=key).status_code for key in (old, new)] == [200, 200]
    until(lambda: it.chat(key=old).status_code == 401)
    assert it.chat(key=new).status_code == 200


def test_a_revoked_key_is_refused_at_once(counted: Counted) -> None:
    it, _ = counted
    before = workers(it)
    name = f"revoked-{time.monotonic_ns()}"
    key = json.loads(it.run("keys", "create", name, "--json").stdout)["key"]
    assert it.chat(key=key).status_code == 200
    it.run("keys", "revoke", name)
    assert it.chat(key=key).status_code == 401
    assert workers(it) == before
    audit = json.loads(it.run("audit", "log", "--json").stdout)
    assert [each["action"] for each in audit if each["subject"] == name] == [
        *("key.create", "key.revoke")
    ]


def test_rotation_and_kills_of_the_control_plane_lose_no_request(counted: Counted) -> None:
    it, _ = counted
    home = Home(it.home)
    before = workers(it)

    def another(last: int) -> int | None:
        """The control plane, once it is not the one that was killed."""
        now = it.status()["processes"]["control"]
        return now if now != last else None

    control = 0
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            control = until(lambda last=control: another(last))
            answers = pool.map(lambda _: it.chat().status_code, range(60))
            os.kill(control, signal.SIGKILL)
            assert set(answers) == {200}
    until(lambda: len(list(home.logs.glob("access.log.*"))) > 0)
    until(lambda: it.chat().status_code == 200 and home.access_log.stat().st_size > 0)
    assert workers(it) == before

    def total() -> tuple[int, ...]:
        rows = usage(it, "model")
        names = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens")
        return tuple(sum(row[name] for row in rows) for name in names)

    it.log()

    def told() -> tuple[int, ...]:
        """The same of what Prometheus is told."""
        said = json.loads(it.run("metrics", "show", "--json").stdout)["items"]
        found = {each["name"]: each["samples"] for each in said}
        requests = sum(each["value"] for each in found["infergate_requests_total"])
        tokens = dict.fromkeys(("input", "output", "cache_read"), 0)
        for each in found["infergate_tokens_total"]:
            tokens[each["labels"]["gen_ai_token_type"]] += int(each["value"])
        return int(requests), *tokens.values()

    until(lambda: total() == in_logs(home.access_log))
    assert told() == in_logs(home.access_log)
    assert it.status()["ledger"]["problem"] == ""
    assert "requests are counted" in it.run("doctor", "--all").stdout


def open_files(pid: int) -> set[str]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(each.readlink()))
    return found


def test_a_log_that_somebody_renamed_is_made_anew_and_counted_on(counted: Counted) -> None:
    """Also where its folder is moved away."""
    it, _ = counted
    log = Home(it.home).access_log
    key = it.new_key("renamed")
    mode = log.parent.stat().st_mode
    moved = [
        (log, log.with_name("moved.log")),
        (log, log.with_name("access.log.1")),
        (log.parent, it.home / "moved"),
    ]

    def asked() -> int:
        rows = (each for each in usage(it) if each["key"].startswith("renamed"))
        return sum(each["requests"] for each in rows)

    for number, (what, where) in enumerate(moved, 1):
        assert it.chat(key=key).status_code == 200
        until(lambda number=number: asked() == number)
        what.rename(where)
        until(lambda: all(str(log) in open_files(pid) for pid in workers(it)))
    assert log.parent.stat().st_mode == mode
    assert it.chat(key=key).status_code == 200
    until(lambda: asked() == len(moved) + 1)
