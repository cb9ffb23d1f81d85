"""A real gateway for a test: the command line, a real nginx, a folder of its own."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import typer.main

from infergate.cli import main
from infergate.cli.unwell import UNWELL
from infergate.live.shared_memory import push
from infergate.nginx import worker_user
from infergate.paths import Home
from tests.access_log import assert_lines_fit
from tests.backends.servers import free_port
from tests.cache import ENGINES_HOME
from tests.forked import forking
from tests.reaper import folder_prefix
from tests.wire import answered


@dataclass(frozen=True)
class Ran:
    """What a command said, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def _process(command: list[str], environ: dict[str, str]) -> Ran:
    result = subprocess.run(
        [sys.executable, "-m", "infergate", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )
    return Ran(result.returncode, result.stdout, result.stderr)


_get_command = functools.cache(typer.main.get_command)
"""To make all commands of the command line takes longer than to run most of them."""


def run_here(command: list[str], environ: dict[str, str]) -> Ran:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        unittest.mock.patch.object(typer.main, "get_command", _get_command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        unittest.mock.patch.dict(os.environ, environ),
        unittest.mock.patch.object(sys, "argv", ["infergate", *command]),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Ran(code, out.getvalue(), err.getvalue())


class Gateway:
    """One gateway. Its configuration is `listen`, `engine` and what the test gives."""

    forks = False
    """Whether its processes are forks of this one (tests/forked.py), where nothing else is said."""

    def __init__(self, engine: str, config: str, *, forked: bool | None = None) -> None:
        self._forked = self.forks if forked is None else forked
        if self._forked:  # a fork starts no Python, and that of the tests may be root's own
            worker_user.PYTHON = Path("/usr/bin/env")
        # Short, and not pytest's: a unix socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix=folder_prefix()))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.home.mkdir()
        if (ENGINES_HOME / "engines").exists():
            (self.home / "engines").symlink_to(ENGINES_HOME / "engines")
        self.port = free_port()
        answered.pop(self.port, None)
        self.url = f"http://127.0.0.1:{self.port}"
        self.engine = engine
        self.file = self.folder / "infergate.yaml"
        self.write(config)
        self.key = ""

    def write(self, config: str) -> None:
        head = f"engine: {self.engine}\nworkers: 2\n"
        if "\nlisten:" not in f"\n{config}":
            head += f"listen: 127.0.0.1:{self.port}\n"
        self.file.write_text(head + config)

    def run(self, *arguments: str, check: bool = True) -> Ran:
        """Run a command of ours on this gateway.

        In this process, which takes a tenth of the time. Only a stop that waits for open streams
        is a process itself, which can be given up: it may wait for ten minutes.
        check: it must do what it is asked; that it finds something unwell is not its failure.
        """
        command = [*arguments, "-c", str(self.file)]
        environ = {"INFERGATE_HOME": str(self.home), "COLUMNS": "80"}
        forked = forking() if self._forked and arguments[0] == "up" else contextlib.nullcontext()
        with forked:
            ran = (_process if arguments == ("down",) else run_here)(command, environ)
        if check and ran.returncode not in (0, UNWELL):
            raise AssertionError(f"{arguments} failed:\n{ran.stdout}{ran.stderr}")
        return ran

    def up(self) -> None:
        self.run("up", "--detach")
        self.key = self.new_key("test")

    def new_key(self, name: str, *options: str) -> str:
        # The first `up` of a test has made a key already; a second one of that name is refused.
        answer = self.run("keys", "create", f"{name}-{time.monotonic_ns()}", "--json", *options)
        return str(json.loads(answer.stdout)["key"])

    def status(self) -> dict[str, Any]:
        return json.loads(self.run("status", "--json", check=False).stdout)

    def backend(self, name: str) -> dict[str, Any]:
        return next(each for each in self.status()["backends"] if each["name"] == name)

    def headers(self, key: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {key or self.key}"}

    def post(
        self, path: str, body: object, *, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """A POST with a key. body: an object for JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {
            "Content-Type": "application/json",
            **self.headers(key),
            **more.pop("headers", {}),
        }
        more = {"timeout": 30, **more}
        answer = httpx.post(self.url + path, content=content, headers=headers, **more)
        if one := answer.headers.get("x-infergate-request-id"):
            answered[self.port] = one
        return answer

    def chat(self, model: str = "m", *, key: str | None = None, **body: Any) -> httpx.Response:
        messages = [{"role": "user", "content": "hi"}]
        return self.post(
            "/v1/chat/completions", {"model": model, "messages": messages, **body}, key=key
        )

    def get(self, path: str, *, key: str | None = None) -> httpx.Response:
        return httpx.get(self.url + path, headers=self.headers(key), timeout=30)

    def forget_failures(self) -> None:
        """Close every circuit breaker."""
        push(Home(self.home).socket, {"breakers": {"replace": True}, "retries": {"replace": True}})

    def log(self) -> list[dict[str, Any]]:
        """The access log in order of time, with the last answer of `post` or wire.raw: each
        worker of nginx writes its lines a tenth of a second late, or later when busy."""
        path, size = self._log, -1
        time.sleep(0.15)
        while size != (size := path.stat().st_size):
            time.sleep(0.2)
        last = answered.pop(self.port, None)  # once: the log may be moved away
        until(lambda: last is None or f'"{last}"' in self._log.read_text())
        lines = [json.loads(line) for line in self._log.read_text().split("\n") if line]
        return sorted(lines, key=lambda line: line["ts"])

    @property
    def _log(self) -> Path:
        return self.home / "logs" / "access.log"

    def remove(self) -> None:
        self.run("down", "--now", check=False)
        self._tell_alarms()
        try:
            assert_lines_fit(self._log)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _tell_alarms(self) -> None:
        """To pytest, which shows it of a test that failed: a worker that died, for instance."""
        log = self.home / "logs" / "error.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        alarms = [line for line in lines if "[alert]" in line or "[emerg]" in line]
        print("\n".join(alarms[-20:]))


@contextmanager
def gateway(
    engine: str, config: str, *, start: bool = True, forked: bool | None = None
) -> Iterator[Gateway]:
    """A gateway that is up, and stopped and removed at the end."""
    it = Gateway(engine, config, forked=forked)
    try:
        if start:
            it.up()
        yield it
    finally:
        it.remove()


def until(condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    """The first true value of condition; AssertionError if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
