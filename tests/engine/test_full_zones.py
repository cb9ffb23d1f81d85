"""Each zone of shared memory is filled: others' requests go on, and no count is wrong after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from infergate.config.load import load_config
from infergate.config.policies import Grant
from infergate.errors import MemoryFull
from infergate.live.shared_memory import UnixConnection, push
from infergate.nginx.zones import PAGE, entry_bytes
from infergate.paths import Home
from infergate.store.database import database_for
from infergate.store.key_changes import add_keys
from infergate.store.keys import StoredKey
from infergate.store.secrets import StoredSecret, key_hash
from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
  one: {{ url: {one}, engine: vllm, max_in_flight: 1 }}
models:
  m: [a, b]
  sticky: {{ backends: [a, b], upstream_name: m, balance: prefix }}
  hedged: {{ backends: [a, b], upstream_name: m, hedge: {{ extra_load: 1 }} }}
  shadowed: {{ backends: [a], upstream_name: m, shadow: {{ backend: b, percent: 100 }} }}
  narrow: {{ backends: [one], upstream_name: m, queue: {{ max_length: 8, max_wait: 5s }} }}
health: {{ interval: 300ms, timeout: 300ms, slow_start: 0s }}
"""
KEY_SIZES = (2000, 1500, 700, 300, 100, 30, 4)
"""Of the fillers: what the slab keeps apart by size is filled size by size."""

FAT_KEYS = 4_500
"""Of 4.3 kB each: more than the 16 MB that ig_keys has without them."""

VALUES: dict[str, Any] = {"breakers": '[0,0,0,0,0,0,"",""]', "backends": "until:1", "queue": "x"}
ZONES = (
    "inflight",
    "turns",
    "limits",
    "affinity",
    "breakers",
    "retries",
    "queue",
    "waiting",
    "tags",
    "locks",
    "backends",
    "routes",
    "catalog",
    "load",
    "shadow",
    "hedge",
    "hedging",
)


@pytest.fixture(scope="module")
def it(engine: str) -> Iterator[Gateway]:
    with ExitStack() as stack:
        urls = {n: stack.enter_context(scripted(name=n)).url for n in ("a", "b", "one")}
        found = stack.enter_context(gateway(engine, CONFIG.format(**urls)))
        for _ in range(12):  # both workers have met all backends
            for model in ("m", "sticky", "narrow", "shadowed"):
                assert found.chat(model).status_code == 200
            assert _hedged(found) == 200
        yield found


def _hedged(it: Gateway) -> int:
    return it.post("/v1/embeddings", {"model": "hedged", "input": "x"}).status_code


def _state(it: Gateway) -> dict[str, Any]:
    connection = UnixConnection(Home(it.home).socket)
    connection.request("GET", "/state")
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def _fill(it: Gateway, zone: str) -> list[str]:
    """Entries of every size, until there is no room for one of each; their keys."""
    numbers = zone not in (*VALUES, "retries", "affinity", "routes", "catalog", "shadow")
    value: Any = 0 if numbers else VALUES.get(zone, "x")
    fillers = []
    for size in KEY_SIZES:
        with suppress(MemoryFull):
            for at in range(0, 2200, 200):
                some = [f"~{n}{'x' * size}" for n in range(at, at + 200)]
                fillers += some
                push(Home(it.home).socket, {zone: {"set": dict.fromkeys(some, value)}})
    return fillers


def _counts(it: Gateway) -> dict[str, int]:
    """What is in flight, waits, or is taken from a limit."""
    state = _state(it)
    taken = {k: v for k, v in state["inflight"].items() if k[0] != "~" and v != 0}
    waiting = {k: v for k, v in state["waiting"].items() if k == "" or k.startswith("n ")}
    return taken | {f"waiting {k}": v for k, v in waiting.items() if v != 0}


def _all_at_once(it: Gateway, model: str, keys: list[str]) -> set[int]:
    with ThreadPoolExecutor(len(keys)) as pool:
        return {a.status_code for a in pool.map(lambda key: it.chat(model, key=key), keys)}


@pytest.mark.parametrize("zone", ZONES)
def test_a_full_zone_refuses_no_others_and_leaves_no_count(it: Gateway, zone: str) -> None:
    limits = ("--rpm", "1000", "--tpm", "1000000", "--concurrency", "4")
    limited = [it.new_key(f"limited-{zone}-{n}", *limits) for n in range(6)]
    leaver = it.new_key(f"leaver-{zone}")
    fillers = _fill(it, zone)
    try:
        for _ in range(3):
            assert it.chat("m").status_code == 200, "the short way"
            assert it.chat("m", max_tokens=200_000).status_code == 200, "the long way"
            assert it.chat("sticky").status_code == 200
            assert it.chat("shadowed").status_code == 200
            assert _hedged(it) == 200
            assert it.get("/v1/models").status_code == 200
        refused = {it.chat("m", key=key).status_code for key in limited}
        assert refused <= {200, 503}
        assert _all_at_once(it, "narrow", [it.key, *limited]) <= {200, 429, 503}
        streamed: httpx.Response = it.chat("m", stream=True)
        assert streamed.text.endswith("data: [DONE]\n\n")
        name = next(
            each["name"]
            for each in json.loads(it.run("keys", "list", "--json").stdout)
            if leaver.startswith(each["prefix"])
        )
        it.run("keys", "revoke", name)
        assert it.chat("m", key=leaver).status_code == 401
        until(lambda: not _counts(it))
    finally:
        push(Home(it.home).socket, {zone: {"delete": fillers}})
    assert {it.chat("m", key=key).status_code for key in limited} == {200}
    assert _all_at_once(it, "narrow", [it.key, *limited]) == {200}
    until(lambda: not _counts(it))


def test_a_limit_that_nobody_uses_any_more_takes_no_room(it: Gateway) -> None:
    keys = [it.new_key(f"many-{n}", "--concurrency", "2") for n in range(4)]
    assert _all_at_once(it, "m", keys * 6) <= {200, 429}
    until(lambda: not _counts(it))
    inflight = _state(it)["inflight"]
    assert {value for name, value in inflight.items() if "@k many" in name} <= {0}
    # Entries at zero have an end, and go when the next one needs room.
    until(lambda: it.chat("m", key=keys[0]).status_code == 200 and _buckets(it) <= 3)


def _buckets(it: Gateway) -> int:
    return sum("@k many" in name for name in _state(it)["inflight"])


def test_status_and_doctor_say_how_full_each_zone_is(it: Gateway) -> None:
    rows = {row["zone"]: row for row in it.status()["memory"]}
    assert {"ig_keys", "ig_inflight", "ig_waiting"} <= rows.keys()
    assert all(0 <= row["used"] <= 1 for row in rows.values())
    assert "is the fullest zone" in it.run("status").stdout
    fillers = _fill(it, "retries")
    try:
        full = {row["zone"]: row for row in it.status()["memory"]}["ig_retries"]
        assert full["used"] > 0.8
        for command in ("status", "doctor"):
            assert "ig_retries is 100 % full" in " ".join(it.run(command).stdout.split())
    finally:
        push(Home(it.home).socket, {"retries": {"delete": fillers}})


@pytest.mark.parametrize(("key_size", "value_size"), [(64, 90), (20, 700), (40, 3000)])
def test_an_entry_takes_what_we_count_for_it(it: Gateway, key_size: int, value_size: int) -> None:
    count = 128
    entries = {f"{n:0{key_size}}": "x" * value_size for n in range(count)}
    before = _state(it)["zones"]["retries"][1]
    push(Home(it.home).socket, {"retries": {"set": entries}})
    try:
        taken = before - _state(it)["zones"]["retries"][1]
    finally:
        push(Home(it.home).socket, {"retries": {"delete": list(entries)}})
    counted = sum(entry_bytes(key, value) for key, value in entries.items())
    assert abs(taken - counted) <= 2 * PAGE, "but for a page of each size that was begun"


@pytest.mark.long
def test_more_keys_than_have_room_get_it_and_no_valid_key_is_refused_meanwhile(
    start: Callable[..., Any],
) -> None:
    a = start(scripted, name="a")
    config = f"backends: {{ a: {{ url: {a.url}, engine: vllm }} }}\nmodels: {{ m: [a] }}\n"
    it = start(gateway, "embedded", config)
    size = {row["zone"]: row["bytes"] for row in it.status()["memory"]}["ig_keys"]
    loaded = load_config(it.file)
    models = ["m", *(f"{n:02}-{'x' * 55}" for n in range(40))]
    allowed = Grant.model_validate({"models": models})
    keys = (
        StoredKey("", f"fat-{n}", 1, (StoredSecret(key_hash(f"{n}"), "sk-ig-fat", 1),), allowed)
        for n in range(FAT_KEYS)
    )
    add_keys(database_for(loaded.config, Home(it.home)), keys)
    codes: Counter[int] = Counter()

    def all_have_room() -> bool:
        codes[it.chat().status_code] += 1
        return {it.chat(key=f"{n}").status_code for n in (0, FAT_KEYS - 1)} == {200}

    until(all_have_room, 90)
    for _ in range(20):
        codes[it.chat().status_code] += 1
    assert set(codes) == {200}
    row = {row["zone"]: row for row in it.status()["memory"]}["ig_keys"]
    assert (row["bytes"] > size, row["used"] < 0.8) == (True, True)
