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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.backends.cache import CACHE, is_ready, python_of
from tests.forked import ForkingPopen

HERE = Path(__file__).parent


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, body: object = None, timeout_s: float = 60) -> Any:
    """The JSON answer of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=timeout_s) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Server:
    """One running backend. model: the name it serves."""

    _popen: type[subprocess.Popen[Any]] = subprocess.Popen

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        ready_path: str,
        model: str,
        *,
        ready_s: float,
        environ: dict[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self._command, self._ready_path, self._ready_s = command, ready_path, ready_s
        self._environ = {**os.environ, **(environ or {})}
        self.model = model
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.NamedTemporaryFile(prefix="backend-", suffix=".log")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._process = self._popen(
            list(self._command(self.port)),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=self._environ,
            start_new_session=True,
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
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
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

    _popen = ForkingPopen

    def behave(self, **fault: object) -> None:
        fetch(f"{self.url}/_control/behave", fault)

    def tell(self, **metrics: object) -> None:
        """Lie about its work: scripted_metrics has the names."""
        fetch(f"{self.url}/_control/metrics", metrics)

    def answer_one(self) -> None:
        """One request past the gateway, as another client of this backend sends it."""
        fetch(f"{self.url}/v1/chat/completions", {"model": self.model, "messages": []})

    def requests(self, path_prefix: str = "/v1/chat") -> list[dict[str, Any]]:
        """What came in below a path; probes are left out by the default."""
        seen = fetch(f"{self.url}/_control/requests")
        return [each for each in seen if each["path"].startswith(path_prefix)]

    def stats(self) -> dict[str, int]:
        return fetch(f"{self.url}/_control/stats")

    def set_models(self, *models: str) -> None:
        fetch(f"{self.url}/_control/models", list(models))

    def remember(self, *loaded: str, holds: int) -> None:
        """As an Ollama with room for so many models, which has these in memory."""
        fetch(f"{self.url}/_control/memory", {"holds": holds, "loaded": loaded})

    def loads(self) -> list[str]:
        """The models that it loaded since then, in order."""
        loads: list[str] = fetch(f"{self.url}/_control/memory")["loads"]
        return loads

    def drop_connections(self) -> None:
        """Reset those that wait for a request."""
        fetch(f"{self.url}/_control/drop", {})

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
    engine: str = "vllm",
    models: Sequence[str] = ("m",),
    name: str = "a",
    port: int | None = None,
    tls: tuple[int, Path, Path] | None = None,
) -> Any:
    """A context manager that runs the scripted double.

    tls: a port where it speaks https, with the files of its certificate and key.
    """

    def command(port: int) -> list[str]:
        return [
            sys.executable,
            str(HERE / "scripted.py"),
            "--port",
            str(port),
            "--engine",
            engine,
            "--models",
            ",".join(models),
            "--name",
            name,
            *(("--tls", *map(str, tls)) if tls else ()),
        ]

    return running(Scripted(command, "/_control/stats", models[0], ready_s=10, port=port))


def available(name: str) -> str | None:
    """Why a real backend cannot be used here; None if it can."""
    if is_ready(name):
        return None
    return f"{name} is not built: `python tests/backends/cache.py install {name}`"


_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def vllm(kind: str = "chat", model: str = "tiny-qwen2", longest: int = 2048) -> Any:
    """A real vLLM on the CPU with a tiny random model. kind: "chat" or "embed". longest: tokens of
    a request; the model is as random beyond those it was made for."""
    environ = {
        **_OFFLINE,
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    }

    def command(port: int) -> list[str]:
        arguments = [
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--model",
            str(CACHE / "vllm" / "model"),
            "--served-model-name",
            model,
            "--dtype",
            "float32",
            "--enforce-eager",
            "--max-model-len",
            str(longest),
            "--max-num-seqs",
            "8",
            "--max-num-batched-tokens",
            "1024",
            "--kv-cache-memory-bytes",
            str(64 * 2**20),
        ]
        if longest > 2048:
            arguments += ["--hf-overrides", json.dumps({"max_position_embeddings": longest})]
        if kind == "embed":
            arguments += ["--runner", "pooling", "--convert", "embed"]
        else:
            arguments.append("--enable-prompt-tokens-details")
        return [str(python_of("vllm")), "-m", "vllm.entrypoints.openai.api_server", *arguments]

    return running(Server(command, "/health", model, ready_s=180, environ=environ))


def llama_server(model: str = "tiny-llama") -> Any:
    """A real llama.cpp server with a tiny random model."""

    def command(port: int) -> list[str]:
        folder = CACHE / "llamacpp"
        return [
            str(folder / "llama-server"),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "-m",
            str(folder / "tiny.gguf"),
            "--alias",
            model,
            "-c",
            "4096",
            "-t",
            "1",
        ]

    return running(Server(command, "/health", model, ready_s=30, environ=_OFFLINE))


def embedding_server() -> Any:
    """A real embedding model behind a small OpenAI-compatible server."""

    def command(port: int) -> list[str]:
        return [str(python_of("embed")), str(HERE / "embed_server.py"), str(port)]

    return running(Server(command, "/v1/models", "all-minilm", ready_s=90, environ=_OFFLINE))


def chroma(folder: Path) -> Any:
    """A real vector database, with its data in folder."""

    def command(port: int) -> list[str]:
        program = str(python_of("chroma").with_name("chroma"))
        return [program, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]

    return running(Server(command, "/api/v2/heartbeat", "", ready_s=60, environ=_OFFLINE))


def n8n(folder: Path) -> Any:
    """A real n8n, with its data in folder; it reports to nobody."""
    binaries = CACHE / "n8n" / "bin"
    environ = {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_USER_FOLDER": str(folder),
        "N8N_DIAGNOSTICS_ENABLED": "false",
        "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
        "N8N_TEMPLATES_ENABLED": "false",
        "N8N_PERSONALIZATION_ENABLED": "false",
        "N8N_SECURE_COOKIE": "false",
        "N8N_PUSH_BACKEND": "websocket",
        "N8N_PROXY_HOPS": "1",
    }

    def command(port: int) -> list[str]:
        program = str(CACHE / "n8n" / "node_modules" / ".bin" / "n8n")
        return ["env", f"N8N_PORT={port}", program, "start"]

    return running(Server(command, "/healthz", "", ready_s=180, environ=environ))


def open_webui(folder: Path, openai_url: str, key: str) -> Any:
    """A real Open WebUI with its data in folder, for the models at openai_url."""
    environ = {
        **_OFFLINE,
        "OFFLINE_MODE": "True",
        "DATA_DIR": str(folder),
        "WEBUI_SECRET_KEY": "test",
        "ENABLE_OLLAMA_API": "False",
        "ENABLE_PERSISTENT_CONFIG": "False",
        "OPENAI_API_BASE_URL": openai_url,
        "OPENAI_API_KEY": key,
    }

    def command(port: int) -> list[str]:
        program = str(python_of("openwebui").with_name("open-webui"))
        return [program, "serve", "--host", "127.0.0.1", "--port", str(port)]

    return running(Server(command, "/health", "", ready_s=600, environ=environ))
