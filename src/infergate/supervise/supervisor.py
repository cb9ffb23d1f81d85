"""The process behind `infergate up`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import Awaitable, Callable

import structlog

from infergate.config.load import LoadedConfig
from infergate.control.backend_list import in_words
from infergate.control.backends import Gateway, end_lapsed
from infergate.control.groups import look_once
from infergate.control.report import read_report
from infergate.errors import StateError
from infergate.nginx.apply import apply, stage
from infergate.nginx.engine import Engine
from infergate.nginx.folders import prepare_home
from infergate.nginx.revisions import forget_old, switch
from infergate.nginx.shared_memory import read
from infergate.nginx.worker_user import worker_user
from infergate.paths import HOME_VARIABLE, Home
from infergate.state.in_force import bring_into_force
from infergate.state.publish import publish_keys
from infergate.store.database import database_for
from infergate.store.revisions import note_revision
from infergate.supervise.admin_api import AdminApi
from infergate.supervise.child import Child
from infergate.supervise.instance import DRAIN_TIMEOUT_S, sole_supervisor
from infergate.supervise.nginx_process import NginxProcess
from infergate.supervise.ports import check_ports

log = structlog.get_logger(__name__)

_READY_TIMEOUT_S = 10.0
_READY_POLL_S = 0.02


async def supervise(
    declared: LoadedConfig,
    home: Home,
    engine: Engine,
    *,
    demo_port: int | None,
    follow: bool = False,
    ready: Callable[[], None],
) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    declared: the configuration as the file has it.
    demo_port: where to run the built-in demo backend; None runs none.
    follow: apply the configuration file whenever it changes (changes/follow.py).
    ready: called once, when requests are answered and every backend has been asked once.
    Raises AlreadyRunning, EngineError or ApplyError if it cannot start; nothing runs then.
    """
    prepare_home(home, worker_user(declared.config, home))
    environ = {HOME_VARIABLE: str(home.root)}
    with sole_supervisor(home), contextlib.closing(AdminApi(declared, home, environ)) as admin:
        stop, hurry = _stop_on_signals()
        loaded = await _in_force(declared, home)
        nginx = NginxProcess(engine, home)
        if nginx.adopt():
            log.info("nginx was left running and is taken over", pid=nginx.pid)
            number = apply(loaded, home, engine).number
            _publish_keys(loaded, home, number)
        else:
            check_ports(loaded.config)
            revision = stage(loaded, home, engine)
            switch(home, revision)
            forget_old(home)
            # Before the first request: no valid key is ever refused.
            _publish_keys(loaded, home, revision.number)
            await nginx.start()

        began = time.time()
        children = [
            Child("the control plane", ["-m", "infergate.control", str(loaded.path)], home, environ)
        ]
        if demo_port is not None:
            demo = ["-m", "infergate.demo", "--port", str(demo_port)]
            children.append(Child("the demo backend", demo, home, environ))
        if follow:
            follower = ["-m", "infergate.changes", str(loaded.path)]
            children.append(Child("what follows the file", follower, home, environ))
        tasks = [asyncio.create_task(child.keep_running()) for child in children]
        tasks.append(asyncio.create_task(admin.keep_running()))
        watch = asyncio.create_task(nginx.keep_running())
        gc.freeze()  # all that was loaded stays; see infergate/__main__.py
        gc.enable()
        try:
            await _first_of(stop, _until_ready(home, began))
            if not stop.is_set():
                ready()
            await _first_of(stop, *(asyncio.shield(task) for task in (*tasks, watch)))
        finally:
            waiting = asyncio.create_task(_say_what_is_open(home))
            await nginx.stop(drain=hurry, timeout_s=DRAIN_TIMEOUT_S)
            for task in (waiting, watch, *tasks):
                task.cancel()
            await asyncio.gather(waiting, watch, *tasks, return_exceptions=True)
            home.ready.unlink(missing_ok=True)
            log.info("stopped")


async def _in_force(declared: LoadedConfig, home: Home) -> LoadedConfig:
    """The configuration with what discovery finds and operators changed. Without the database or
    DNS, it is as they said last."""
    await look_once(declared, home)
    gateway = Gateway(declared, home, database_for(declared.config, home))
    try:
        for change in end_lapsed(gateway):
            log.info("a change by hand ended: the file says something new", what=in_words(change))
    except StateError as problem:
        log.error("backends are as they were changed last", why=str(problem))
    return bring_into_force(declared, home)


def _publish_keys(loaded: LoadedConfig, home: Home, revision: int) -> None:
    """Without the database, nginx starts with the keys that were valid last."""
    database = database_for(loaded.config, home)
    try:
        publish_keys(home, loaded, database)
        note_revision(database, revision, loaded)
    except StateError as problem:
        if not home.keys_snapshot.exists():
            raise
        log.error("the database cannot be used; the keys are those of last time", why=str(problem))


def _stop_on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events of the first signal (stop, and let streams finish) and the second (at once)."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    return stop, hurry


async def _first_of(stop: asyncio.Event, *others: Awaitable[None]) -> None:
    """Until stop is set or one of the others ends; the fault of one that failed is raised."""
    waiting = [asyncio.ensure_future(each) for each in (_wait_for(stop), *others)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        if each.done() and not each.cancelled():
            each.result()
        each.cancel()


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def _until_ready(home: Home, began: float) -> None:
    """Until the control plane has asked every backend once, or ten seconds."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        report = read_report(home.health)
        if report is not None and report.written_at >= began and report.complete:
            return
        await asyncio.sleep(_READY_POLL_S)


async def _say_what_is_open(home: Home) -> None:
    """While stopping: how many requests are still being answered."""
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(StateError):
            count = sum(read(home.socket).in_flight.values())
            if count > 0:
                log.info("waiting for open requests; once more to cut them", open=count)
