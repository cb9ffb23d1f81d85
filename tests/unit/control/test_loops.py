"""One part of the control plane that fails takes no other with it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infergate.control.plane import ControlPlane
from infergate.control.report import read_report
from infergate.control.shadow import ShadowLoop
from infergate.health.inventory import Inventory, ModelInfo
from infergate.health.watch import HealthWatch
from infergate.loops import Failing, read_failing
from infergate.nginx.folders import prepare_home
from infergate.paths import Home
from infergate.state.routes import Routes, compile_routes

CONFIG = "backends: { a: 'http://127.0.0.1:9', b: 'http://127.0.0.1:9/b' }\nmodels: { m: [a] }\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("INFERGATE_HOME", str(tmp_path / "home"))
    home = Home(tmp_path / "home")
    prepare_home(home, None)
    (tmp_path / "infergate.yaml").write_text(CONFIG)
    return home


def failing(home: Home) -> dict[str, Failing]:
    return {each.loop: each for each in read_failing(home.loops)}


async def until_failed_again(home: Home, loop: str) -> None:
    async with asyncio.timeout(20):
        while loop not in failing(home) or failing(home)[loop].times < 2:
            await asyncio.sleep(0.05)


def test_a_loop_that_fails_is_started_again_by_itself_and_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_self: ShadowLoop) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(ShadowLoop, "run", broken)

    async def scenario() -> None:
        plane = asyncio.create_task(ControlPlane(home.root.parent / "infergate.yaml").run())
        await until_failed_again(home, "shadowing")
        home.health.unlink(missing_ok=True)
        async with asyncio.timeout(20):
            while not home.health.exists():  # the others go on: it is reported again
                await asyncio.sleep(0.05)
        assert not plane.done()
        plane.cancel()
        await asyncio.gather(plane, return_exceptions=True)

    asyncio.run(scenario())


def test_a_backend_whose_probes_fail_is_probed_again_and_the_others_go_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = []
    judge = HealthWatch._judge

    def broken(self: HealthWatch, changed: Callable[[str], None]) -> None:
        if self.name == "a":
            raise ZeroDivisionError
        judge(self, changed)
        judged.append(self.name)

    monkeypatch.setattr(HealthWatch, "_judge", broken)

    async def scenario() -> None:
        plane = asyncio.create_task(ControlPlane(home.root.parent / "infergate.yaml").run())
        await until_failed_again(home, "probing a")
        assert failing(home)["probing a"].problem == "ZeroDivisionError: "
        assert "b" in judged
        plane.cancel()
        await asyncio.gather(plane, return_exceptions=True)
        assert not failing(home)  # whoever is not there fails no more

    asyncio.run(scenario())


def test_backends_that_change_together_are_published_together(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = "".join(f"  b{n}: 'http://127.0.0.1:9/{n}'\n" for n in range(150))
    (home.root.parent / "infergate.yaml").write_text(f"backends:\n{urls}")
    compiled = []

    def counted(*arguments: Any) -> Routes:
        compiled.append(1)
        return compile_routes(*arguments)

    monkeypatch.setattr("infergate.control.published.compile_routes", counted)

    def all_down() -> bool:
        report = read_report(home.health)
        return report is not None and all(each.state == "down" for each in report.backends)

    async def scenario() -> None:
        plane = asyncio.create_task(ControlPlane(home.root.parent / "infergate.yaml").run())
        async with asyncio.timeout(60):
            while not all_down():
                await asyncio.sleep(0.05)
        plane.cancel()
        await asyncio.gather(plane, return_exceptions=True)

    asyncio.run(scenario())
    assert len(compiled) < 100


def test_a_change_that_is_nothing_to_routes_compiles_none(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def counted(*arguments: Any) -> Routes:
        compiled.append(1)
        return compile_routes(*arguments)

    monkeypatch.setattr("infergate.control.published.compile_routes", counted)
    plane = ControlPlane(home.root.parent / "infergate.yaml")
    plane._published.publish(everything=True)
    for _ in range(3):
        plane._published.publish()
    assert len(compiled) == 1
    drained = {"backends": {"replace": True, "set": {"a": "drained"}}}
    home.conditions_snapshot.write_text(json.dumps(drained))
    plane._published.publish()
    assert len(compiled) == 1
    plane._published._inventories = {"a": Inventory("vllm", None, (ModelInfo("new"),))}
    plane._published.publish()
    assert len(compiled) == 2


def test_who_finds_its_process_id_may_tell_it_to_reload(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: SIGHUP ends a process that does not expect it."""
    reloads: list[int] = []
    deadly: list[int] = []
    write = Path.write_text

    def written(path: Path, *arguments: Any, **more: Any) -> int:
        count = write(path, *arguments, **more)
        if path.name == "control.pid":
            os.kill(os.getpid(), signal.SIGHUP)
        return count

    monkeypatch.setattr(Path, "write_text", written)
    monkeypatch.setattr(ControlPlane, "_reload", lambda _self: reloads.append(1))
    before = signal.signal(signal.SIGHUP, lambda number, _frame: deadly.append(number))

    async def scenario() -> None:
        plane = asyncio.create_task(ControlPlane(home.root.parent / "infergate.yaml").run())
        async with asyncio.timeout(20):
            while not (reloads or deadly):
                await asyncio.sleep(0.05)
        plane.cancel()
        await asyncio.gather(plane, return_exceptions=True)

    try:
        asyncio.run(scenario())
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (reloads, deadly) == ([1], [])
