"""Restarts of the control plane and of nginx lose nothing and refuse nobody."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import httpx
import pytest

from infergate.config.load import load_config
from infergate.live.shared_memory import push
from infergate.paths import Home
from infergate.store.database import database_for
from infergate.store.drained import drain
from infergate.store.key_changes import revoke_key
from infergate.store.secrets import key_hash
from infergate.supervise.instance import running
from tests.engine.conftest import Pair
from tests.gateway import Gateway, until


def killed_control(home: Home) -> int:
    """The process id of a control plane that was killed just now."""
    control = running(home).control
    assert control is not None
    os.kill(control, signal.SIGKILL)
    return control


def again(home: Home, before: int) -> None:
    until(lambda: running(home).control not in (None, before))


def answer_of(it: Gateway, key: str) -> int:
    return it.get("/v1/models", key=key).status_code


def test_a_control_plane_that_starts_makes_shared_memory_what_the_store_says(pair: Pair) -> None:
    it, _, _ = pair
    home = Home(it.home)
    database = database_for(load_config(it.file).config, home)
    leaver = it.new_key("leaver")
    name = next(
        each["name"]
        for each in json.loads(it.run("keys", "list", "--json").stdout)
        if leaver.startswith(each["prefix"]) and each["name"].startswith("leaver")
    )
    control = killed_control(home)
    # What somebody else changed in the database meanwhile, and what nobody ever put there.
    revoke_key(database, name)
    drain(database, "a")
    push(home.socket, {"keys": {"set": {key_hash("sk-forged"): "\nforged\n\n\t*\t\n0\n\n"}}})
    push(home.socket, {"routes": {"replace": True}})
    again(home, control)
    until(lambda: answer_of(it, leaver) == 401)
    until(lambda: answer_of(it, "sk-forged") == 401)
    until(lambda: it.backend("a")["drained"])
    assert it.chat().json()["choices"][0]["message"]["content"] == "b"


def test_a_control_plane_that_starts_takes_what_is_in_force_and_not_the_file(pair: Pair) -> None:
    it, a, _ = pair
    home = Home(it.home)
    it.file.write_text(it.file.read_text().replace("m: [a, b]", "m: [b]") + "typo: 1\n")
    control = killed_control(home)
    again(home, control)
    a.behave(health="fail")  # it probes what it did before
    until(lambda: it.backend("a")["state"] == "down")
    a.behave()
    until(lambda: it.backend("a")["state"] == "up")
    until(lambda: it.chat().json()["choices"][0]["message"]["content"] == "a")


@pytest.mark.long
def test_nginx_that_is_started_again_refuses_no_valid_key(pair: Pair) -> None:
    it, _, _ = pair
    home = Home(it.home)
    control = running(home).control
    assert control is not None
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                statuses.append(it.chat().status_code)
            except httpx.HTTPError:  # nobody listens for a moment
                time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    # Nobody pushes anything: nginx has to have its state by itself.
    os.kill(control, signal.SIGSTOP)
    try:
        for thread in threads:
            thread.start()
        for _ in range(2):
            master = running(home).nginx
            assert master is not None
            answered = len(statuses)
            os.kill(master, signal.SIGKILL)
            until(lambda master=master: running(home).nginx not in (None, master))
            until(lambda answered=answered: len(statuses) > answered + 20)
    finally:
        stop.set()
        os.kill(control, signal.SIGCONT)
        for thread in threads:
            thread.join(30)
    assert set(statuses) == {200}
