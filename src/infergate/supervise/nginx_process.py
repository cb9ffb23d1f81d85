"""The nginx master: started, adopted, watched, started again, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from infergate.backoff import Backoff
from infergate.engine.running import note_engine
from infergate.errors import EngineError
from infergate.live.drain import nginx_workers
from infergate.log import log
from infergate.paths import Home
from infergate.supervise.instance import nginx_master
from infergate.supervise.taken_over import listening_sockets
from infergate.worker_files import tail_of

_START_TIMEOUT_S = 45.0
_POLL_S = 0.2
_WAIT_POLL_S = 0.02
"""While somebody waits for it."""


class NginxProcess:
    """The nginx of one state folder.

    It leads a session and a process group of its own. So it goes on when we are killed, and when
    it is killed itself, the workers it leaves behind can still be reached through their group.
    """

    argv: tuple[str, ...]
    """What starts it (engine/facts.py); known when the configuration is."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._group: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = self._replacing = False
        self._replaced: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int | None:
        """The master's process id, while it runs."""
        if self._child is None:
            return nginx_master(self._home)
        return self._child.pid if self._child.poll() is None else None

    def adopt(self) -> bool:
        """Take over a master that an earlier supervisor left running. Whether there was one."""
        self._group = nginx_master(self._home)
        return self._group is not None

    async def start(self, sockets: tuple[int, ...] = ()) -> None:
        """Start the master on `current` and wait until it runs.

        sockets: that it is to listen on instead of opening some itself.
        Raises EngineError with nginx's own words if it does not.
        """
        self._home.remove_sockets()
        command = [
            *self.argv,
            *("-p", str(self._home.root)),
            *("-c", str(self._home.current / "nginx.conf")),
            *("-e", str(self._home.logs / "error.log")),
        ]
        # $NGINX names sockets to inherit (ngx_add_inherited_sockets); ours was not meant for it.
        environ = {name: value for name, value in os.environ.items() if name != "NGINX"}
        if sockets:
            environ["NGINX"] = "".join(f"{each};" for each in sockets)
        with (self._home.logs / "nginx.out").open("wb") as out:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environ,
                cwd=self._home.root,
                start_new_session=True,
                pass_fds=sockets,
            )
        self._group = self._child.pid
        deadline = time.monotonic() + _START_TIMEOUT_S
        while nginx_master(self._home) != self._child.pid or not self._answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                from infergate.live.reload import error_log_tail  # a supervisor stays small

                words = tail_of(self._home.logs / "nginx.out").strip()
                raise EngineError(
                    "nginx did not start:\n  " + (words or error_log_tail(self._home)),
                    where=str(self._home.current / "nginx.conf"),
                )
            await asyncio.sleep(_WAIT_POLL_S)
        note_engine(self._home.root, self._child.pid, self.argv)

    async def replace(self, argv: tuple[str, ...]) -> None:
        """Another nginx on `current` takes the place of this one, which finishes its streams.

        No connection is refused meanwhile: the sockets stay, and who connects waits.
        Raises EngineError if it does not start; none runs then.
        """
        self._replacing = True
        try:
            pid = self.pid
            with listening_sockets(pid) if pid else contextlib.nullcontext(()) as sockets:
                if pid is not None:
                    await self._leave(pid)
                self.argv = argv
                await self.start(sockets)
        finally:
            self._replacing = False

    async def _leave(self, pid: int) -> None:
        """Have it accept no more. It takes its unix sockets away, which the next one makes anew."""
        os.kill(pid, signal.SIGQUIT)
        if self._child is not None:
            self._replaced.append(self._child)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._home.socket.exists() and time.monotonic() < deadline:
            await asyncio.sleep(_WAIT_POLL_S)

    def _tend_replaced(self) -> None:
        """One that ends at last removes its pid file, which is that of the one that runs."""
        self._replaced = [each for each in self._replaced if each.poll() is None]
        file = self._home.run / "nginx.pid"
        if self._child is not None and self._child.poll() is None and not file.exists():
            file.write_text(f"{self._child.pid}\n")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._home.socket))
            except OSError:
                return False
        return True

    async def keep_running(self) -> None:
        """Start the master again whenever it ends, until `stop`."""
        backoff = Backoff()
        began = time.monotonic()
        while not self._stopping:
            await asyncio.sleep(_POLL_S)
            if self._replacing:
                continue
            self._tend_replaced()
            if self._stopping or self.pid is not None:
                continue
            delay_s = backoff.after(time.monotonic() - began)
            log.error("nginx ended and is started again", in_s=delay_s)
            self._dismiss_orphans()
            await asyncio.sleep(delay_s)
            began = time.monotonic()
            try:
                await self.start()
                log.info("nginx runs again", pid=self.pid)
            except EngineError as problem:
                log.error("nginx did not start; trying again", problem=str(problem))

    def _dismiss_orphans(self) -> None:
        """Workers of a killed master go on serving; they give up the ports and finish streams."""
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGQUIT)

    async def stop(self, *, drain: asyncio.Event | None = None, timeout_s: float = 0) -> None:
        """Stop it: no new connections, open streams finish.

        drain: set to cut open streams at once.
        timeout_s: how long streams may take; then they are cut.
        """
        self._stopping = True
        for each in self._replaced:
            each.terminate()
        pid = self.pid
        if pid is None:
            self._dismiss_orphans()
            return
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + timeout_s
        while self._is_alive(pid) and time.monotonic() < deadline:
            if drain is not None and drain.is_set():
                break
            await asyncio.sleep(_WAIT_POLL_S)
        if self._is_alive(pid):
            workers = nginx_workers(pid)
            os.kill(pid, signal.SIGTERM)
            await self._wait_for_end(pid)
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        self._home.remove_sockets()

    async def _wait_for_end(self, pid: int) -> None:
        deadline = time.monotonic() + 5
        while self._is_alive(pid) and time.monotonic() < deadline:
            await asyncio.sleep(_WAIT_POLL_S)
        if self._is_alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _is_alive(self, pid: int) -> bool:
        if self._child is not None and self._child.pid == pid:
            return self._child.poll() is None
        return Path(f"/proc/{pid}").exists()
