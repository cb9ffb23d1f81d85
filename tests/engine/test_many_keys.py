"""Ten thousand keys are listed, made and pushed in little time, and take little memory."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infergate.config.load import load_config
from infergate.config.policies import Grant
from infergate.live.drain import nginx_workers
from infergate.live.shared_memory import push
from infergate.paths import Home
from infergate.state.publish import publish_keys
from infergate.store.database import database_for
from infergate.store.key_changes import add_keys
from infergate.store.keys import StoredKey
from infergate.store.secrets import StoredSecret
from tests.gateway import Gateway, gateway, until

MANY = 10_000
CONFIG = "backends: { a: { url: http://127.0.0.1:9, engine: vllm } }\nmodels: { m: [a] }\n"


def _key(number: int) -> StoredKey:
    digest = hashlib.sha256(b"%d" % number).hexdigest()
    allowed = Grant.model_validate(
        {
            "models": ["m"],
            "limits": {"requests_per_minute": 60 + number % 9},
            "budget": ["10M-tokens/month"],
        }
    )
    return StoredKey("", f"user-{number}", 1, (StoredSecret(digest, "sk-ig-abcd", 1),), allowed)


def _cpu_s(work: Callable[[], Any]) -> float:
    """Of this process: the machine may be busy with other tests."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _memory_kb(it: Gateway) -> dict[int, int]:
    """What each worker of nginx has in memory (RSS)."""
    workers = nginx_workers(it.status()["processes"]["nginx"])
    found = {}
    for pid in workers:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found[pid] = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return found


@pytest.mark.long
def test_ten_thousand_keys_are_quick(start: Callable[..., Any]) -> None:
    it = start(gateway, "embedded", CONFIG)  # the slower one; nearly all of this is Python
    loaded, home = load_config(it.file), Home(it.home)
    database = database_for(loaded.config, home)
    assert it.get("/v1/models").status_code == 200
    before = _memory_kb(it)
    assert add_keys(database, map(_key, range(MANY))) == MANY
    publish_keys(home, loaded, database)
    assert it.status()["keys"] == MANY + len(("first", "test"))
    document = json.loads(home.keys_snapshot.read_text())
    # 0.6 s and 0.5 s where the document takes 0.015 s: as a ratio, which repeats on a busy machine.
    json_s = _cpu_s(lambda: json.loads(json.dumps(document)))
    assert _cpu_s(lambda: it.run("keys", "list")) < 120 * json_s
    assert _cpu_s(lambda: it.new_key("one-more")) < 100 * json_s
    push(home.socket, document)
    assert it.get("/v1/models", key="9999").status_code == 200
    # The worker that takes a push holds some megabytes more until it is done with it.
    until(lambda: all(_memory_kb(it)[pid] - kb <= 10_000 for pid, kb in before.items()))
