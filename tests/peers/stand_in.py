"""In the place of `llama-server` or `vllm` where a suite starts it: the real one, and in
PEERS_WAY=gateway a gateway at the port that the suite asked for, with the real one behind it.

PEERS_PROGRAM: the real one. PEERS_MODEL: a model's file or folder, instead of one from a hub.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.backends.servers import free_port

FROM_A_HUB = ("--hf-repo", "-hfr", "-hf", "--hf-file", "-hff", "--model-url", "-mu")
READY_S = 600

CONFIG = """
engine: {engine}
listen: {{ http: 127.0.0.1:{port} }}
auth: {{ required: false }}
backends: {{ engine: {{ url: "http://127.0.0.1:{behind}", engine: {kind} }} }}
health: {{ interval: 500ms, rise: 1, fall: 1 }}
validation: "off"
"""


def replaced(arguments: list[str], model: str | None, port: int | None) -> list[str]:
    """A program's arguments with another model and another port."""
    words = iter(arguments)
    kept: list[str] = []
    for word in words:
        if word == "--port" and port is not None:
            next(words, None)
            kept += ["--port", str(port)]
        elif model is not None and word in FROM_A_HUB:
            next(words, None)
        else:
            kept.append(word)
    if model is not None and not {"-m", "--model"} & set(kept):
        kept += ["--model", model]
    return kept


def port_in(arguments: list[str]) -> int:
    for word, value in itertools.pairwise(arguments):
        if word == "--port":
            return int(value)
    return 8080


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
    port, behind = port_in(arguments), free_port()
    engine = subprocess.Popen([program, *replaced(arguments, model, behind)])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="peers-") as folder, contextlib.ExitStack() as stack:
        stack.callback(_stop, engine)
        deadline = time.monotonic() + READY_S
        while not _answers(f"http://127.0.0.1:{behind}/health"):
            if engine.poll() is not None or time.monotonic() > deadline:
                return engine.returncode or 1
            time.sleep(0.1)
        Path(folder).chmod(0o755)
        file = Path(folder) / "infergate.yaml"
        kind = "vllm" if Path(program).name.startswith("vllm") else "llamacpp"
        chosen = os.environ.get("PEERS_ENGINE", "auto")
        file.write_text(CONFIG.format(engine=chosen, port=port, behind=behind, kind=kind))
        environ = {**os.environ, "INFERGATE_HOME": f"{folder}/home"}
        gateway = subprocess.Popen(
            [sys.executable, "-m", "infergate", "up", "-c", str(file)], env=environ
        )
        stack.callback(_stop, gateway)
        return engine.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    process.kill()


if __name__ == "__main__":
    sys.exit(main())
