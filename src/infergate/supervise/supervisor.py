"""The process behind `infergate up`: it starts the others, watches them, and stops them.

It stays for as long as the gateway does, so it loads little: no configuration, no database, no
renderer. What needs those is done by a process that goes on as the control plane (prepare.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from pathlib import Path

from infergate.control.report import read_report
from infergate.errors import StateError
from infergate.files import stamp
from infergate.log import log
from infergate.paths import Home
from infergate.state_folder import HOME_VARIABLE
from infergate.supervise.admin_api import AdminApi
from infergate.supervise.api_tier import ApiTier
from infergate.supervise.child import Child
from infergate.supervise.engine_change import WAKE, follow_requests
from infergate.supervise.followed import note_followed
from infergate.supervise.instance import DRAIN_TIMEOUT_S, sole_supervisor
from infergate.supervise.keepers import KEEPERS, KeeperProcess
from infergate.supervise.nginx_process import NginxProcess
from infergate.supervise.notify import STOPPING, notify
from infergate.supervise.preparing import NotPrepared, preparing
from infergate.supervise.tier_processes import TierProcesses

_READY_TIMEOUT_S = 10.0
_READY_POLL_S = 0.02

_STOPPED = 1
"""What it ends with when it is stopped before it has begun."""


async def supervise(
    path: Path,
    home: Home,
    *,
    demo_port: int | None,
    follow: bool = False,
    ready: Callable[[], None],
) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    path: the configuration.
    demo_port: where to run the built-in demo backend; None runs none.
    follow: apply the configuration file whenever it changes (changes/follow.py).
    ready: called once, when requests are answered and every backend has been asked once.
    Raises AlreadyRunning, EngineError or NotPrepared if it cannot start; nothing runs then.
    """
    home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    environ = {HOME_VARIABLE: str(home.root)}
    with contextlib.ExitStack() as held:
        held.enter_context(sole_supervisor(home))
        stop, hurry = _stop_on_signals()
        reload = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.set)
        nginx = NginxProcess(home)
        adopted = nginx.adopt()
        began = time.time()
        tasks: list[asyncio.Task[None]] = []
        if demo_port is not None:  # first: it should answer when it is asked
            demo = ["-m", "infergate.demo", "--port", str(demo_port)]
            demo_backend = Child("the demo backend", demo, home, environ)
            tasks.append(asyncio.create_task(demo_backend.keep_running()))
        if follow:
            note_followed(home, stamp(path))
        async with preparing(path, home, environ, adopt=adopted) as process:
            prepared = asyncio.create_task(process.prepared())
            await _first_of(stop, asyncio.shield(prepared))
            if stop.is_set():
                prepared.cancel()
                raise NotPrepared(_STOPPED)
            argv, admin_listen = prepared.result().argv, prepared.result().admin_listen
            admin = held.enter_context(
                contextlib.closing(AdminApi(path, admin_listen, home, environ))
            )
            nginx.argv = argv
            if adopted:
                log.info("nginx was left running and is taken over", pid=nginx.pid)
            else:
                await nginx.start()
            control_plane = process.go_on()
        control = Child("the control plane", ["-m", "infergate.control", str(path)], home, environ)
        loops = [
            control.keep_running(control_plane),
            admin.keep_running(),
            *_api_tier(path, home, environ),
            _apply_when_told(path, home, environ, reload),
            *_followers(path, home, environ, nginx, follow=follow),
        ]
        tasks += [asyncio.create_task(loop) for loop in loops]
        watch = asyncio.create_task(nginx.keep_running())
        try:
            await _first_of(stop, _until_ready(home, began))
            if not stop.is_set():
                ready()
            await _first_of(stop, *(asyncio.shield(task) for task in (*tasks, watch)))
        finally:
            await _end(home, nginx, hurry, [watch, *tasks])


async def _end(
    home: Home, nginx: NginxProcess, hurry: asyncio.Event, tasks: list[asyncio.Task[None]]
) -> None:
    """Let the open requests finish, unless it hurries, and end all that runs."""
    notify(STOPPING, "STATUS=open requests finish")
    ending = [asyncio.create_task(_say_what_is_open(home)), *tasks]
    await nginx.stop(drain=hurry, timeout_s=DRAIN_TIMEOUT_S)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
    home.ready.unlink(missing_ok=True)
    log.info("stopped")


def _api_tier(
    path: Path, home: Home, environ: Mapping[str, str]
) -> Iterator[Coroutine[None, None, None]]:
    processes = TierProcesses(home.tier_processes)
    yield ApiTier(home, processes).keep_running()
    for keeper in KEEPERS:
        yield KeeperProcess(keeper, path, home, environ, processes).keep_running()


def _followers(
    path: Path, home: Home, environ: Mapping[str, str], nginx: NginxProcess, *, follow: bool
) -> Iterator[Coroutine[None, None, None]]:
    """What acts on the requests of other processes, and, where it is wanted, on the file."""
    woken = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(WAKE, woken.set)
    yield follow_requests(home, nginx, woken)
    if follow:
        follower = ["-m", "infergate.changes", str(path)]
        yield Child("what follows the file", follower, home, environ).keep_running()


async def _apply_when_told(
    path: Path, home: Home, environ: Mapping[str, str], told: asyncio.Event
) -> None:
    """SIGHUP, as `systemctl reload` sends it: apply the file, as `infergate apply` does."""
    while True:
        await told.wait()
        told.clear()
        log.info("told to reload (SIGHUP): applying the file", file=str(path))
        applying = ["-m", "infergate.changes", str(path), "--once"]
        await Child("what applies the file", applying, home, environ).run()


def _stop_on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events of the first signal (stop, and let streams finish) and the second (at once)."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    return stop, hurry


async def _first_of(stop: asyncio.Event, *others: Awaitable[object]) -> None:
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
    seen: object = None
    while time.monotonic() < deadline:
        now = stamp(home.health)
        if now == seen:  # of a thousand backends it is a megabyte
            await asyncio.sleep(_READY_POLL_S)
            continue
        seen, report = now, read_report(home.health)
        if report is not None and report.written_at >= began and report.complete:
            return
        await asyncio.sleep(_READY_POLL_S)


async def _say_what_is_open(home: Home) -> None:
    """While stopping: how many requests are still being answered."""
    # With http.client 2 MB, which nothing else here needs.
    from infergate.live.shared_memory import read

    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(StateError):
            count = sum(read(home.socket).in_flight.values())
            if count > 0:
                log.info("waiting for open requests; once more to cut them", open=count)
