"""What is compared: the mock itself, raw nginx of each engine, and the gateway on each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infergate.engine.choose import Engine
from tests.backends.servers import free_port
from tests.cache import ENGINES_HOME

LIMITS = ("--rpm", "100000000", "--tpm", "1000000000", "--concurrency", "10000")
"""Of the second key: never reached, but counted for each request."""

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": "An answer of the usual length to a short prompt.",
                },
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
    }
)
HEAD = """
daemon off; worker_processes 1; error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 100000000;
    client_body_buffer_size 10m; client_max_body_size 10m;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
"""
_MOCK = (
    HEAD
    + """
    server {{
        listen 127.0.0.1:{port};
        default_type application/json;
        location / {{ return 200 '{answer}'; }}
        location = /v1/models {{ return 200 '{{"data":[{{"id":"bench","owned_by":"vllm"}}]}}'; }}
    }}
}}
"""
)
_RAW = (
    HEAD
    + """
    upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
)


@dataclass(frozen=True)
class System:
    """Something that answers. nginx: its master, or another gateway's process; python: processes
    beside it; headers: what each request has to carry."""

    name: str
    engine: str
    port: int
    key: str = "none"
    nginx: int = 0
    python: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _tree(int(child)))]


def cpu_us(pids: tuple[int, ...]) -> float:
    """CPU time so far of these processes and their children, in µs (proc(5), schedstat)."""
    total_ns = 0
    for root in pids:
        for pid in _tree(root):
            for task in Path(f"/proc/{pid}/task").iterdir():
                total_ns += int((task / "schedstat").read_text().split()[0])
    return total_ns / 1000


def rss_mb(pids: tuple[int, ...]) -> float:
    """Resident memory of these processes and their children, in MB; shared pages count each."""
    pages = sum(
        int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        for root in pids
        for pid in _tree(root)
    )
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def nginx(engine: Engine, folder: Path, text: str) -> Iterator[int]:
    """One that runs with this configuration; its master's pid."""
    folder.mkdir()
    (folder / "nginx.conf").write_text(text)
    command = engine.command(
        "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")
    )
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def mock(engine: Engine, folder: Path) -> Iterator[System]:
    """The upstream of the non-streamed scenarios."""
    port = free_port()
    text = _MOCK.format(folder=folder / "mock", port=port, answer=ANSWER)
    with nginx(engine, folder / "mock", text):
        yield System("direct", "", port)


@contextmanager
def streaming_mock(chunks: int, rate: float) -> Iterator[System]:
    """The upstream of the streamed scenario; rate: chunks a second of each stream."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.stream_upstream", str(port), str(chunks), str(rate)]
    )
    time.sleep(0.5)
    try:
        yield System("direct", "", port)
    finally:
        process.kill()
        process.wait()


@contextmanager
def raw_nginx(engine: Engine, folder: Path, upstream: int) -> Iterator[System]:
    """The least an nginx does to relay a request: no keys, no routing, no log."""
    port, below = free_port(), folder / f"raw-{engine.origin}-{upstream}"
    with nginx(engine, below, _RAW.format(folder=below, port=port, upstream=upstream)) as pid:
        yield System("raw nginx", engine.origin, port, nginx=pid)


def three_backends(upstream: int) -> str:
    """a, b and c, all of them at this port of ours."""
    address = f"{{ url: http://127.0.0.1:{upstream}, engine: vllm }}"
    return f"backends: {{ a: {address}, b: {address}, c: {address} }}\n"


class Instance:
    """One gateway with what `config` has, in a folder of its own; not started."""

    def __init__(self, engine: Engine, folder: Path, config: str) -> None:
        self._folder = folder
        self.home = self._folder / "home"
        self.home.mkdir(parents=True)
        (self.home / "engines").symlink_to(ENGINES_HOME / "engines")
        self.port, self._file = free_port(), self._folder / "infergate.yaml"
        self._file.write_text(
            f"engine: {engine.origin}\nworkers: 1\nlisten: 127.0.0.1:{self.port}\n" + config
        )

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "infergate", *arguments, "-c", str(self._file)],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "INFERGATE_HOME": str(self.home)},
        ).stdout

    def new_key(self, name: str, *limits: str) -> str:
        return str(json.loads(self.run("keys", "create", name, *limits, "--json"))["key"])

    @contextmanager
    def up(self) -> Iterator[None]:
        self.run("up", "--detach")
        try:
            yield
        finally:
            self.run("down", "--now")


@contextmanager
def gateway(engine: Engine, folder: Path, upstream: int) -> Iterator[tuple[System, ...]]:
    """Infergate with everything on: keys, routing over three backends, log, control plane.

    Two systems of the same processes: a key without limits, and one whose limits are counted.
    """
    config = three_backends(upstream) + "models: { bench: [a, b, c] }\n"
    it = Instance(engine, folder / f"ig-{engine.origin}-{upstream}", config)
    with it.up():
        keys = {
            "gateway": it.new_key("bench"),
            "gateway, limits on": it.new_key("limited", *LIMITS),
        }
        pids = json.loads(it.run("status", "--json"))["processes"]
        python = (pids["supervisor"], pids["control"])
        yield tuple(
            System(name, engine.origin, it.port, key, pids["nginx"], python)
            for name, key in keys.items()
        )
