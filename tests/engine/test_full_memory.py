"""Memory or the disk is full: what is revoked is refused all the same, and nothing is half-made."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from infergate import files
from infergate.errors import MemoryFull
from infergate.live.shared_memory import push
from infergate.paths import Home
from infergate.supervise.instance import running
from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway

CONFIG = "backends: {{ a: {{ url: {url}, engine: vllm }} }}\nmodels: {{ m: [a] }}\n"


@pytest.fixture(scope="module")
def it(engine: str) -> Iterator[Gateway]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        yield stack.enter_context(gateway(engine, CONFIG.format(url=a.url)))


def _digest(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


_FAT = {_digest(number): "x" * 2100 for number in range(4_200)}
"""More than ig_keys has pages."""


@contextmanager
def _as_pushed(home: Home) -> Iterator[None]:
    """Shared memory stays as it is pushed: the control plane, which mends it, is stopped."""
    control = running(home).control
    assert control is not None
    os.kill(control, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(control, signal.SIGCONT)


def _valid(it: Gateway, name: str) -> bool:
    listed = json.loads(it.run("keys", "list", "--json").stdout)
    return any(each["name"] == name for each in listed)


def _secret(it: Gateway, name: str) -> str:
    return str(json.loads(it.run("keys", "create", name, "--json").stdout)["key"])


def test_what_a_push_ends_has_ended_although_what_it_sets_has_no_room(it: Gateway) -> None:
    key, home = it.new_key("ends"), Home(it.home)
    kept = json.loads(home.keys_snapshot.read_text())["keys"]["set"]
    digest = hashlib.sha256(key.encode()).hexdigest()
    with _as_pushed(home):
        with pytest.raises(MemoryFull) as refused:
            push(
                home.socket,
                {
                    "keys": {
                        "replace": True,
                        "set": _FAT | {k: kept[k] for k in kept if k != digest},
                    },
                    "routes": {"delete": ["no-such-route"]},
                },
            )
        assert refused.value.zones["keys"] > 0
        assert it.chat(key=key).status_code == 401
        # Others' keys, which the same push set again, hold.
        assert it.chat().status_code == 200
        push(home.socket, {"keys": {"replace": True, "set": kept}})
    assert it.chat(key=key).status_code == 200


def test_a_key_that_may_do_less_does_not_keep_what_it_may_do_when_there_is_no_room(
    it: Gateway,
) -> None:
    key, home = it.new_key("less"), Home(it.home)
    kept = json.loads(home.keys_snapshot.read_text())["keys"]["set"]
    digest = hashlib.sha256(key.encode()).hexdigest()
    with _as_pushed(home):
        with pytest.raises(MemoryFull):
            push(home.socket, {"keys": {"set": _FAT}})
        less = kept[digest] + "\n" + "y" * 60_000  # larger than anything that fits
        with pytest.raises(MemoryFull):
            push(home.socket, {"keys": {"set": {digest: less}}})
        assert it.chat(key=key).status_code == 401
        assert it.chat().status_code == 200
        push(home.socket, {"keys": {"replace": True, "set": kept}})


def test_a_key_is_revoked_and_a_new_one_not_left_behind_when_memory_is_full(
    it: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = _secret(it, "to-revoke")

    def full(where: Path, document: dict[str, Any]) -> None:
        push(where, document)
        if document.get("keys", {}).get("set"):
            raise MemoryFull({"keys": 1}, where=str(where))

    monkeypatch.setattr("infergate.state.publish.push", full)
    it.run("keys", "revoke", "to-revoke")
    assert it.chat(key=secret).status_code == 401
    refused = it.run("keys", "create", "unseen", check=False)
    assert (refused.returncode, "ig_keys is full" in refused.stderr) == (1, True)
    assert "database" not in refused.stderr
    assert not _valid(it, "unseen")
    monkeypatch.undo()
    assert it.chat(key=_secret(it, "unseen")).status_code == 200, "its name is free"


@pytest.fixture
def no_inodes(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A disk that takes no new file; said with True, it takes nothing in old ones either."""

    def refuse(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    def begin(no_blocks: bool) -> None:
        monkeypatch.setattr(tempfile, "mkstemp", refuse)
        if no_blocks:
            monkeypatch.setattr(files, "_overwrite", refuse)

    return begin


def test_without_inodes_keys_are_made_and_revoked_as_ever(
    it: Gateway, no_inodes: Callable[[bool], None]
) -> None:
    secret, snapshot = _secret(it, "goes"), Home(it.home).keys_snapshot
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert digest in json.loads(snapshot.read_text())["keys"]["set"]
    no_inodes(False)
    it.run("keys", "revoke", "goes")
    assert it.chat(key=secret).status_code == 401
    assert digest not in json.loads(snapshot.read_text())["keys"]["set"]
    assert it.chat(key=_secret(it, "comes")).status_code == 200


def test_on_a_full_disk_a_key_is_revoked_and_none_made_that_nobody_saw(
    it: Gateway, no_inodes: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, rotated = _secret(it, "leaves"), _secret(it, "rotated")
    no_inodes(True)
    it.run("keys", "revoke", "leaves")
    assert it.chat(key=secret).status_code == 401
    for command in (("create", "unheard"), ("rotate", "rotated", "--grace", "0s")):
        refused = it.run("keys", *command, check=False)
        assert (refused.returncode, "No space left" in refused.stderr) == (1, True)
    assert not _valid(it, "unheard")
    monkeypatch.undo()
    it.run("keys", "create", "anything")  # publishes what the database says
    assert it.chat(key=rotated).status_code == 200, "the old secret is as it was"
    shown = json.loads(it.run("keys", "show", "rotated", "--json").stdout)
    assert len(shown["secrets"]) == 1
