"""Backends as context managers: started on a free loopback port, always stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, body: object = None, timeout_s: float = 5) -> Any:
    """The JSON answer of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=timeout_s) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Server:
    """One running backend. model: the name it serves."""

    def __init__(
        self, command: Callable[[int], Sequence[str]], ready_path: str, model: str,
        *, ready_s: float, environ: dict[str, str] | None = None, port: int | None = None,
    ) -> None:
        self._command, self._ready_path, self._ready_s = command, ready_path, ready_s
        self._environ = {**os.environ, **(environ or {})}
        self.model = model
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.NamedTemporaryFile(prefix="backend-", suffix=".log")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            list(self._command(self.port)), stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=self._log, env=self._environ, start_new_session=True,
        )
        deadline = time.monotonic() + self._ready_s
        while True:
            try:
                urllib.request.urlopen(self.url + self._ready_path, timeout=2).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    tail = Path(self._log.name).read_text(errors="replace")[-2000:]
                    self.kill()
                    raise RuntimeError(f"the backend did not start:\n{tail}") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL to all of it, as a crash or a pulled plug."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()

    def restart(self) -> None:
        """Again, on the same port."""
        self.kill()
        self.start()

    def stop(self) -> None:
        self.kill()
        self._log.close()


class Scripted(Server):
    """The scripted double, with its control."""

    def behave(self, **fault: object) -> None:
        fetch(f"{self.url}/_control/behave", fault)

    def requests(self, path_prefix: str = "/v1/chat") -> list[dict[str, Any]]:
        """What came in below a path; probes are left out by the default."""
        seen = fetch(f"{self.url}/_control/requests")
        return [each for each in seen if each["path"].startswith(path_prefix)]

    def stats(self) -> dict[str, int]:
        return fetch(f"{self.url}/_control/stats")

    def set_models(self, *models: str) -> None:
        fetch(f"{self.url}/_control/models", list(models))

    def reset(self) -> None:
        fetch(f"{self.url}/_control/reset", {})


@contextmanager
def running(server: Server) -> Iterator[Any]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def scripted(
    engine: str = "vllm", models: Sequence[str] = ("m",), name: str = "a", port: int | None = None
) -> Any:
    """A context manager that runs the scripted double."""

    def command(port: int) -> list[str]:
        return [sys.executable, str(HERE / "scripted.py"), "--port", str(port), "--engine", engine,
                "--models", ",".join(models), "--name", name]

    return running(Scripted(command, "/_control/stats", models[0], ready_s=10, port=port))
