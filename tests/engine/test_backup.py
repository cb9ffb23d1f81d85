"""A gateway that an earlier version left goes on, and can be put into one file and brought back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backends.servers import Scripted, free_port, scripted
from tests.deploy.walk import blocks
from tests.gateway import Gateway, until
from tests.upgrade.old_state import OldGateway

STREAMS = 200

on_one_engine = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""nginx has no part in this."""


@dataclass
class Old:
    """The old gateway, upgraded. backend: the one that is not drained."""

    it: OldGateway
    backend: Scripted

    def status(self, key: str, port: int | None = None) -> int:
        """What a key gets, of a client that trusts the CA of before the upgrade."""
        url = f"https://localhost:{port or self.it.https}/v1/models"
        with httpx.Client(verify=self.trust(), timeout=30) as client:
            return client.get(url, headers={"Authorization": f"Bearer {key}"}).status_code

    def answers(self) -> dict[str, int]:
        """The same, asked. Each is one request more."""
        return {secret: self.status(secret) for secret in self.secrets()}

    def trust(self) -> ssl.SSLContext:
        ca = self.it.said / ".infergate" / "public" / "ca.crt"
        return ssl.create_default_context(cafile=str(ca))

    def secrets(self) -> dict[str, int]:
        """Each secret that there was, and what it is to get."""
        of = {name: self.it.json(f"{name}.json")["key"] for name in ("alice", "bob2", "gone")}
        return {
            of["alice"]: 200,
            of["bob2"]: 200,
            of["gone"]: 401,
            "declared-secret": 200,
            "of-the-file": 200,
        }


@pytest.fixture(scope="module")
def old(engine: str) -> Iterator[Old]:
    with ExitStack() as stack:
        one, two = (stack.enter_context(scripted(name=name)) for name in "ab")
        it = OldGateway(engine, "6cbcdc9", {"gpu1": one.url, "gpu2": two.url})
        stack.callback(it.remove)
        it.run("up", "--detach")
        yield Old(it, one)


def usage(it: Gateway) -> dict[str, int]:
    rows = json.loads(it.run("usage", "--format", "json", "--since", "2026-01-01").stdout)["rows"]
    found: dict[str, int] = {}
    for row in rows:
        found[row["key"]] = found.get(row["key"], 0) + row["requests"]
    return found


def history(it: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(it.run("history", "--format", "json").stdout)
    return found


def test_a_state_folder_of_6cbcdc9_goes_on_with_all_that_it_had(old: Old) -> None:
    it = old.it
    assert usage(it) == {"alice": 3, "declared": 1, "carol": 1}, "the line's usage is its name's"
    assert old.answers() == old.secrets()
    alice = json.loads(it.run("keys", "show", "alice", "--json").stdout)
    assert (alice["team"], alice["limits"]) == ("research", {"requests_per_minute": 600})
    assert json.loads(it.run("keys", "show", "bob", "--json").stdout)["policy"] == "chat"
    assert "1000-EUR/month" in it.run("teams", "list").stdout
    assert it.backend("gpu2")["state"].startswith("drain")
    assert it.backend("gpu1")["weight"] == 3
    assert "192.0.2.66" in it.run("bans", "list").stdout
    audit = it.run("audit", "log").stdout
    assert "key.revoke" in audit
    assert "root@gateway1" in audit
    token = (it.said / "token.txt").read_text().strip()
    url = f"http://127.0.0.1:{it.admin}/v1/status"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 200
    assert [each["revision"] for each in history(it)][:2] == [1, 2]
    assert "connect: 2s" in it.run("diff", "1", "2").stdout


@contextmanager
def streams(old: Old, count: int) -> Iterator[list[bytes]]:
    """So many that have begun, and after the block all that they said."""
    begun, go_on = threading.Barrier(2), threading.Event()
    said: list[bytes] = []

    async def one(client: httpx.AsyncClient, started: asyncio.Event) -> bytes:
        body = {"model": "m", "messages": [], "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            pieces = answer.aiter_bytes()
            first = await anext(pieces)
            started.set()
            return first + b"".join([piece async for piece in pieces])

    async def all_of_them() -> None:
        limits = httpx.Limits(max_connections=count)
        url = f"https://localhost:{old.it.https}"
        headers = {"Authorization": "Bearer declared-secret"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, verify=old.trust(), limits=limits, timeout=120
        ) as client:
            events = [asyncio.Event() for _ in range(count)]
            tasks = [asyncio.create_task(one(client, event)) for event in events]
            await asyncio.gather(*(event.wait() for event in events))
            await asyncio.to_thread(begun.wait)
            await asyncio.to_thread(go_on.wait)
            said.extend(await asyncio.gather(*tasks))

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    begun.wait(120)
    try:
        yield said
    finally:
        go_on.set()
        thread.join()


@dataclass
class Backup:
    """usage, history: what the gateway had when it was taken, what was not counted yet included."""

    file: Path
    usage: dict[str, int]
    history: list[dict[str, Any]]


@pytest.fixture(scope="module")
def backup(old: Old) -> Backup:
    """Taken with a passphrase, while 200 streams run and the last requests are not counted."""
    it = old.it
    secret = it.folder / "passphrase"
    secret.write_text("correct horse battery\n")
    log = it.home / "logs" / "access.log"
    until(lambda: sum(usage(it).values()) == len(log.read_text().splitlines()))
    counted = usage(it)
    old.backend.behave(hold="mid_stream", path_prefix="/v1/chat", times=STREAMS)
    control = it.status()["processes"]["control"]
    with streams(old, STREAMS) as said:
        os.kill(control, signal.SIGSTOP)
        lines = len(log.read_text().splitlines())
        asked = [old.status("of-the-file") for _ in range(7)]
        until(lambda: len(log.read_text().splitlines()) == lines + len(asked))
        assert old.backend.stats()["open"] == STREAMS
        it.run("backup", str(it.folder / "gateway.backup"), "--passphrase-file", str(secret))
        assert old.backend.stats()["open"] == STREAMS, "all of them are there after it"
        os.kill(control, signal.SIGCONT)
        old.backend.behave()
    assert [b"[DONE]" in each for each in said] == [True] * STREAMS
    counted["carol"] += len(asked)
    return Backup(it.folder / "gateway.backup", counted, history(it))


@on_one_engine
def test_a_backup_is_taken_while_streams_run_on(old: Old, backup: Backup) -> None:
    assert stat.S_IMODE(backup.file.stat().st_mode) == 0o600
    content = backup.file.read_bytes()
    assert b"PRIVATE KEY" not in content
    assert b"infergate.yaml" not in content
    again = old.it.run("backup", str(backup.file), check=False)
    assert again.returncode == 2
    assert "never overwritten" in again.stderr
    assert list(backup.file.parent.glob(".gateway.backup*")) == []


@on_one_engine
def test_a_restore_over_a_running_gateway_is_refused(old: Old, backup: Backup) -> None:
    ran = old.it.run("restore", str(backup.file), "--apply", check=False)
    assert ran.returncode == 1
    assert "is running already" in ran.stderr


@pytest.mark.long
@on_one_engine
def test_it_comes_back_elsewhere_with_the_same_keys_usage_certificates_and_revisions(
    old: Old, backup: Backup
) -> None:
    it = old.it
    it.run("down", "--now")
    shutil.rmtree(it.home)
    (it.folder / "infergate.yaml").unlink()
    moved = it.folder / "moved"
    moved.mkdir()
    it.home, it.file = moved / "home", moved / "infergate.yaml"
    told = ("restore", str(backup.file), "--passphrase-file", str(it.folder / "passphrase"))
    planned = it.run(*told)
    assert "--apply does it" in planned.stdout
    assert str(it.home / "state") in planned.stdout
    assert not it.home.exists()
    assert not it.file.exists()
    it.run(*told, "--apply")
    assert (moved / "api_keys.conf").read_text().startswith('"Bearer of-the-file"')

    engines = it.said / "engines"
    if engines.exists():
        (it.home / "engines").symlink_to(engines)
    port, https = free_port(), free_port()
    text = (
        it.file.read_text().replace(f":{it.port}", f":{port}").replace(f":{it.https}", f":{https}")
    )
    it.file.write_text(text)
    it.port, it.https = port, https
    it.run("up", "--detach")
    assert old.answers() == old.secrets()
    asked_with = ("alice", "bob", "", "carol", "declared")  # each once; "": a key that is gone
    expected = {key: backup.usage.get(key, 0) + 1 for key in asked_with}
    until(lambda: sum(usage(it).values()) == sum(expected.values()))
    assert usage(it) == expected
    assert it.backend("gpu2")["state"].startswith("drain")
    found = history(it)
    same = ("revision", "sha256", "at", "who")
    assert [[e[name] for name in same] for e in found][:-1] == [
        [e[name] for name in same] for e in backup.history
    ]
    assert [each["here"] for each in found] == [each["here"] for each in backup.history] + [True]
    assert found[-2]["kept"], "its YAML came along"
    assert "state.restore" in it.run("audit", "log").stdout
    assert "state.backup" in it.run("audit", "log").stdout


@pytest.mark.long
@on_one_engine
def test_the_page_about_backups_works_as_printed(old: Old) -> None:
    it = old.it
    environ = {
        **os.environ,
        "INFERGATE_HOME": str(it.home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    before = it.run("keys", "export").stdout
    said = {}
    for block in blocks("backup.md"):
        if block.section == "To another machine":  # a test of its own, with two folders
            continue
        ran = subprocess.run(
            ["sh", "-e"],
            input=block.text,
            cwd=it.file.parent,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, f"{block.text}\n{ran.stdout}{ran.stderr}"
        said[block.text.split("\n")[0]] = ran.stdout
    assert "home/state/store.db" in said["tar tzf gateway.backup"]
    assert "config/api_keys.conf" in said["tar tzf gateway.backup"]
    assert it.run("keys", "export").stdout == before
    assert old.answers() == old.secrets()
