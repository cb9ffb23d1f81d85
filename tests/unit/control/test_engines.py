"""What njs is told of the engines for `balance: work`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infergate.config.root import Config
from infergate.control.engines import UNSURE, Engines
from infergate.control.learned import Learned
from infergate.control.live import Live
from infergate.health.inventory import ModelInfo
from infergate.health.monitor import BackendStatus
from infergate.health.vitals import Vitals
from infergate.kinds.work import Work
from infergate.paths import Home


def status(work: Work | None, **more: Any) -> BackendStatus:
    given: dict[str, Any] = {
        "name": "a",
        "state": "up",
        "reason": "",
        "since": 0.0,
        "recovered_at": None,
        "vitals": Vitals(moved_at=0.0, work=work),
        "kind": "vllm",
        "version": None,
        "models": (),
        "discovered": True,
        "models_problem": None,
        "last_latency_s": None,
        "checks": 1,
        "failures": 0,
        **more,
    }
    return BackendStatus(**given)


class Told:
    """What is told of one backend after each of its states."""

    def __init__(self, tmp_path: Path, **backend: object) -> None:
        declared = {"url": "http://127.0.0.1:9", **backend}
        config = Config.model_validate({"backends": {"a": declared}, "models": {"m": ["a"]}})
        self.now = status(None)
        self.there: dict[str, tuple[float, ...]] = {}
        self.others = 0.0
        home = Home(tmp_path)
        self.learned = Learned()
        self.engines = Engines(
            home, Live(home.socket), lambda: config, lambda: (self.now,), self.learned
        )

    def after(self, work: Work | None, **more: Any) -> dict[str, float]:
        self.now = status(work, **more)
        self.there = self.engines.wanted(self.there, {"a": self.others})
        names = ("capacity", "speed", "distrust", "moved", "evicts", "waiting")
        told = zip(names, self.there.get("a", ()), strict=False)
        return {name: value for name, value in told if value}


def test_nothing_is_told_of_who_says_nothing(tmp_path: Path) -> None:
    assert Told(tmp_path).after(None) == {}


def test_what_it_said_holds_while_it_is_down(tmp_path: Path) -> None:
    told = Told(tmp_path)
    said = {"capacity": 65536.0}
    assert told.after(Work(kv_cache_tokens=65536, keeps_prefixes=True)) == said
    assert told.after(None, state="down") == said


def test_the_file_knows_better(tmp_path: Path) -> None:
    told = Told(tmp_path, kv_cache_tokens=1000, prefill_speed=2500)
    assert told.after(Work(kv_cache_tokens=65536)) == {"capacity": 1000, "speed": 2.5}


def test_one_without_a_prefix_cache_is_not_trusted_to_have_anything(tmp_path: Path) -> None:
    told = Told(tmp_path)
    assert told.after(Work(keeps_prefixes=False)) == {"distrust": 1}


def test_each_restart_moves_its_odometer_by_its_capacity(tmp_path: Path) -> None:
    told = Told(tmp_path, kv_cache_tokens=1000)
    assert "moved" not in told.after(Work(generation_tokens=500, prompt_tokens=10))
    assert "moved" not in told.after(None, state="down")
    assert told.after(Work(generation_tokens=3, prompt_tokens=10))["moved"] == 1001
    assert told.after(Work(generation_tokens=9, prompt_tokens=10))["moved"] == 1001
    assert told.after(Work(generation_tokens=0, prompt_tokens=0))["moved"] == 2002


@pytest.mark.parametrize("work", [None, Work(running=1)])
def test_one_without_counters_restarted_when_it_was_down(tmp_path: Path, work: Work | None) -> None:
    told = Told(tmp_path)
    assert told.after(work) == {}
    assert told.after(None, state="down") == {}
    assert told.after(work, recovered_at=5.0) == {"moved": 1_000_001}
    assert told.after(work, recovered_at=5.0) == {"moved": 1_000_001}


def test_what_others_have_waiting_there_is_told_in_tokens(tmp_path: Path) -> None:
    told = Told(tmp_path)
    work = Work(running=6, waiting=4)
    assert told.after(work) == {}, "all of it is ours"
    told.others = 5.0
    assert told.after(work) == {"waiting": 8000}
    told.others = 50.0
    assert told.after(work) == {"waiting": 16_000}
    assert told.after(Work(running=10, waiting=0)) == {}


def boxed(told: Told, *loaded: str) -> float:
    """How likely a model has to leave, once these are listed as loaded."""
    models = tuple(ModelInfo(id=each, loaded=each in loaded) for each in "abcd")
    return told.after(None, kind="ollama", models=models).get("evicts", 0.0)


def test_a_box_is_full_once_a_model_left_for_another(tmp_path: Path) -> None:
    told = Told(tmp_path)
    assert boxed(told) == 0
    assert boxed(told, "a") == UNSURE, "nobody knows whether there is room for two"
    assert boxed(told, "a", "b") == UNSURE
    assert boxed(told, "a") == 0, "it had two, and there is room for another"
    assert boxed(told, "a", "c") == 1, "b left, and c came"
    assert boxed(told, "c") == 0


def test_a_box_that_was_taken_for_full_and_holds_more_is_not(tmp_path: Path) -> None:
    told = Told(tmp_path)
    for loaded in (("a", "b"), ("a",), ("a", "c")):
        boxed(told, *loaded)
    assert boxed(told, "c") == 0
    assert boxed(told, "a", "b", "c") == UNSURE, "b had been unloaded because nobody asked for it"
