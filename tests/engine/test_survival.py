"""kill -9 of anything: requests go on, what died comes back, and no count stays wrong."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from infergate.live.drain import nginx_workers
from infergate.paths import Home
from infergate.supervise.instance import is_zombie
from tests.backends.servers import Scripted, scripted
from tests.engine.conftest import PAIR, Pair
from tests.gateway import Gateway, gateway, until


@pytest.fixture
def fresh_pair(engine: str, start: Callable[..., Any]) -> Pair:
    """With processes that have begun with nothing, and are not forks of the test's own."""
    a, b = start(scripted, name="a"), start(scripted, name="b")
    return start(gateway, engine, PAIR.format(a=a.url, b=b.url), forked=False), a, b


def kill(*pids: int) -> None:
    """It is over when this returns: the locks that they held are free."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        until(functools.partial(_is_over, pid))


def _is_over(pid: int) -> bool:
    """Its first thread may be a zombie while others still hold its files."""
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except FileNotFoundError:
        return True
    return is_zombie(pid) and threads == 1


def hanging_request(it: Gateway, a: Scripted) -> None:
    """A request that is in flight on a and stays so."""
    a.behave(path_prefix="/v1/chat", hang=True)
    before = a.stats()["open"]
    request = threading.Thread(target=lambda: _ignore(it.chat), daemon=True)
    request.start()
    until(lambda: a.stats()["open"] > before)
    a.behave()


def _ignore(call: Callable[[], Any]) -> None:
    with contextlib.suppress(httpx.HTTPError):
        call()


def test_a_killed_worker_comes_back_and_its_slots_are_given_back(pair: Pair) -> None:
    it, a, _ = pair
    it.run("backend", "drain", "b")
    hanging_request(it, a)
    assert it.backend("a")["in_flight"] == 1
    master = it.status()["processes"]["nginx"]
    before = until(lambda: it.status()["ledger"])["killed_workers"]
    kill(*nginx_workers(master))
    until(lambda: len(nginx_workers(master)) == 2)
    until(lambda: it.backend("a")["in_flight"] == 0)
    assert it.chat().status_code == 200
    until(lambda: it.status()["ledger"]["killed_workers"] == before + 2)
    said = it.run("status").stdout.replace("\n", " ")
    assert "of nginx died" in said, "up to a tenth of a second of lines, which nobody can count"


def test_a_killed_master_comes_back_with_every_key_and_no_slot_held(pair: Pair) -> None:
    it, _a, _ = pair
    hanging = it.status()["processes"]["nginx"]
    kill(hanging)
    until(lambda: it.status()["processes"]["nginx"] not in (None, hanging))

    def answers() -> bool:
        try:
            return it.chat().status_code == 200
        except httpx.TransportError:
            return False

    until(answers)
    assert all(each["in_flight"] == 0 for each in it.status()["backends"])


def test_a_killed_control_plane_comes_back_and_goes_on_probing(pair: Pair) -> None:
    it, a, _ = pair
    control = it.status()["processes"]["control"]
    kill(control)
    assert it.chat().status_code == 200
    until(lambda: it.status()["processes"]["control"] not in (None, control))
    a.kill()
    until(lambda: it.backend("a")["state"] == "down")


def test_without_any_python_process_traffic_and_failover_go_on(fresh_pair: Pair) -> None:
    it, a, _b = fresh_pair
    processes = it.status()["processes"]
    kill(processes["supervisor"], processes["control"])
    until(lambda: it.status()["processes"]["control"] is None)
    assert [it.chat().status_code for _ in range(4)] == [200] * 4
    a.kill()
    assert [it.chat().status_code for _ in range(4)] == [200] * 4
    assert "supervisor process is gone" in it.run("status").stdout
    # And keys are made and revoked all the same.
    key = it.new_key("alone")
    assert it.chat(key=key).status_code == 200


@pytest.mark.long
def test_up_takes_over_an_nginx_that_was_left_running(fresh_pair: Pair) -> None:
    it, a, _ = fresh_pair
    processes = it.status()["processes"]
    kill(processes["supervisor"], processes["control"])
    it.run("up", "--detach")
    after = it.status()["processes"]
    assert after["nginx"] == processes["nginx"]
    assert it.chat().status_code == 200
    a.kill()
    until(lambda: it.backend("a")["state"] == "down")


def test_a_second_up_is_refused_and_says_what_to_do(pair: Pair) -> None:
    it, _, _ = pair
    result = it.run("up", "--detach", check=False)
    assert result.returncode == 1
    assert "running already" in result.stderr
    assert "infergate status" in result.stderr


def test_down_lets_an_open_stream_finish(fresh_pair: Pair) -> None:
    it, a, b = fresh_pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", chunk_delay_s=0.2, chunks=60)
    got: list[httpx.Response] = []
    stream = threading.Thread(target=lambda: got.append(it.chat(stream=True)))
    stream.start()
    until(lambda: a.stats()["open"] + b.stats()["open"] == 1)
    assert "Waiting for 1 open connection" in it.run("down").stdout
    stream.join(60)
    assert got[0].text.endswith("data: [DONE]\n\n")
    assert it.status()["processes"] == {"supervisor": None, "nginx": None, "control": None}


def test_a_sigterm_ends_everything(fresh_pair: Pair) -> None:
    it, _, _ = fresh_pair
    processes = it.status()["processes"]
    os.kill(processes["supervisor"], signal.SIGTERM)
    until(lambda: set(it.status()["processes"].values()) == {None})
    for pid in processes.values():
        until(functools.partial(is_zombie, pid))


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded"], indirect=True)  # beside nginx: one tells as much
@pytest.mark.parametrize("restart", ["cold", "warm"])
def test_discovered_models_outlive_a_restart_while_their_backend_is_away(
    engine: str, start: Callable[..., Any], restart: str
) -> None:
    a = start(scripted, engine="ollama", models=("llama3:latest",))
    it = start(gateway, engine, f"backends: {{ a: {a.url} }}")
    until(lambda: it.chat("llama3").status_code == 200)  # a busy machine takes its time
    a.kill()
    if restart == "cold":
        it.run("down", "--now")
        it.run("up", "--detach")
    else:
        kill(it.status()["processes"]["control"])
        time.sleep(1)
    assert it.chat("llama3").status_code in (502, 503), "known, though nobody can answer now"
    a.start()
    until(lambda: it.chat("llama3").status_code == 200)


def test_the_state_folder_is_nobody_else_s(pair: Pair) -> None:
    it, _, _ = pair
    home = Home(it.home)
    for path in (home.store, home.keys_snapshot, home.current / "secrets.conf"):
        assert path.stat().st_mode & 0o007 == 0, path
    assert home.socket.parent.stat().st_mode & 0o077 == 0
    everything = b"".join(
        p.read_bytes() for p in home.root.rglob("*") if p.is_file() and "engines" not in p.parts
    )
    assert it.key.encode() not in everything
