"""In the place of `llama-server` or `vllm` where a suite starts it: the real one, and in
PEERS_WAY=gateway a gateway at the port that the suite asked for, with the real one behind it.

PEERS_PROGRAM: the real one. PEERS_MODEL: a model's file or folder, instead of one from a hub.
PEERS_GATEWAYS: the socket of whoever starts gateways. PEERS_BEHIND: the port of an engine there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.backends.servers import free_port

FROM_A_HUB = ("--hf-repo", "-hfr", "-hf", "--hf-file", "-hff", "--model-url", "-mu")
READY_S = 600


def replaced(arguments: list[str], model: str | None, port: int | None) -> list[str]:
    """A program's arguments with another model, and at another port of this machine alone."""
    words = iter(arguments)
    kept: list[str] = []
    for word in words:
        if word == "--port" and port is not None:
            next(words, None)
            kept += ["--port", str(port)]
        elif word == "--host" and port is not None:
            next(words, None)
            kept += ["--host", "127.0.0.1"]
        elif model is not None and word in FROM_A_HUB:
            next(words, None)
        else:
            kept.append(word)
    if port is not None and "--host" not in kept:
        kept += ["--host", "127.0.0.1"]
    if model is not None and not {"-m", "--model", "--models-dir"} & set(kept):
        kept += ["--model", model]
    return kept


def option(arguments: list[str], name: str, default: str) -> str:
    pairs = itertools.pairwise(arguments)
    return next((value for word, value in pairs if word == name), default)


def api_key(arguments: list[str]) -> str:
    """The engine's, which vLLM also takes from its environment; empty where it has none."""
    return option(arguments, "--api-key", os.environ.get("VLLM_API_KEY", ""))


def address(arguments: list[str]) -> str:
    """Where the suite looks for it; the first, where it asks for several."""
    host = option(arguments, "--host", "127.0.0.1").split(",")[0]
    return f"{host}:{option(arguments, '--port', '8080')}"


class Gateways:
    """tests/peers/gateways.py, which starts one for this."""

    def __init__(self) -> None:
        self._connection = socket.socket(socket.AF_UNIX)

    def start(self, listen: str, behind: int, kind: str, key: str) -> None:
        """key: the engine's; empty where it has none."""
        model = _model(f"http://127.0.0.1:{behind}/v1/models", key)
        asked = {"listen": listen, "behind": behind, "kind": kind, "model": model, "key": key}
        self._connection.connect(os.environ["PEERS_GATEWAYS"])
        self._connection.sendall(f"{json.dumps(asked)}\n".encode())
        with self._connection.makefile("r") as lines:
            problem = json.loads(lines.readline())
        if problem:
            raise SystemExit(problem)

    def end(self) -> None:
        """Returns when nothing answers at its port that it is well, however far the start had come.
        The engine has ended before."""
        with contextlib.suppress(OSError):  # none was asked for yet
            self._connection.shutdown(socket.SHUT_WR)
            while self._connection.recv(4096):
                pass


def _model(url: str, key: str) -> str | None:
    """The first that an engine has; None where it has none."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["data"][0]["id"])
    except (OSError, IndexError):
        return None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main() -> int:
    program, arguments = os.environ["PEERS_PROGRAM"], sys.argv[1:]
    model = os.environ.get("PEERS_MODEL") or None
    if os.environ.get("PEERS_WAY") != "gateway":
        command = [program, *replaced(arguments, model, None)]
        os.execv(program, command)
    behind = int(os.environ.get("PEERS_BEHIND") or free_port())
    if "AIP_HTTP_PORT" in os.environ:  # llama.cpp's other way to be told its port
        os.environ["AIP_HTTP_PORT"] = str(behind)
    engine = subprocess.Popen([program, *replaced(arguments, model, behind)])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        gateways = Gateways()
        stack.callback(gateways.end)
        stack.callback(_stop, engine)
        deadline = time.monotonic() + READY_S
        while not _answers(f"http://127.0.0.1:{behind}/health"):
            if engine.poll() is not None or time.monotonic() > deadline:
                return engine.returncode or 1
            time.sleep(0.05)
        kind = "vllm" if Path(program).name.startswith("vllm") else "llamacpp"
        gateways.start(address(arguments), behind, kind, api_key(arguments))
        return engine.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    process.kill()
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
