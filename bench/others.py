"""Other gateways before the same mock, each with one worker or thread and no log of requests.

python -m bench.others [NAME ...]     installs them, asks each once, says what came

They are installed the first time (bench/other_installs.py). What does not install or start is
left out, with the reason printed. All of them listen on loopback only.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.other_installs import (
    LITELLM,
    PORTKEY,
    SGLANG_ROUTER,
    VLLM_ROUTER,
    NotInstalled,
    install,
    run,
)
from bench.systems import System, mock
from infergate.engine.choose import find_engines
from tests.backends.servers import free_port
from tests.cache import ENGINES_HOME

PATIENCE_S = 120
"""LiteLLM imports for some ten seconds, and longer beside other work."""

_LITELLM = """
model_list:
  - model_name: bench
    litellm_params: {{ model: openai/bench, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none }}
general_settings: {{ master_key: os.environ/LITELLM_MASTER_KEY }}
"""  # noqa: E501
_HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    http-reuse always
frontend bench
    bind 127.0.0.1:{port}
    default_backend mock
backend mock
    server mock 127.0.0.1:{upstream}
"""
_LOOPBACK = """
const { Server } = require("net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, host, ...rest) {
    return listen.call(this, port, "127.0.0.1", ...rest);
};
"""
"""Portkey's gateway has no option for the address; without this it listens on all."""


@dataclass(frozen=True)
class Other:
    """A gateway that runs. system.nginx: its only process; extra_headers: each request's."""

    system: System
    version: str
    extra_headers: dict[str, str] = field(default_factory=dict)


Start = Callable[[Path, int], AbstractContextManager[Other | None]]


def _ask(port: int, key: str, headers: dict[str, str], *, stream: bool) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        headers={"Authorization": f"Bearer {key}", **headers},
        json={
            "model": "bench",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 100,
            **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
        },
        timeout=10,
        trust_env=False,
    )


def _await_answer(process: subprocess.Popen[bytes], other: Other, upstream: int) -> None:
    """Returns when a request through it is answered in full. Raises NotInstalled."""
    streams = _ask(upstream, "none", {}, stream=False).headers.get("Content-Type", "")
    port, key, deadline = other.system.port, other.system.key, time.monotonic() + PATIENCE_S
    last = "no answer"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answer = _ask(port, key, other.extra_headers, stream="event-stream" in streams)
        except httpx.HTTPError:
            time.sleep(0.2)
            continue
        if answer.status_code == 200 and '"usage"' in answer.text:
            return
        last = f"{answer.status_code} {answer.text[:200]}"
        time.sleep(0.2)
    raise NotInstalled(f"it did not come to answer ({last})")


@contextmanager
def process(
    command: Sequence[str | Path], folder: Path, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """It runs in `folder` and writes to its file `log`; killed at the end, for none has anything to
    save. Raises NotInstalled if there is no such command."""
    dies_with_us = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
    with (folder / "log").open("wb") as sink:
        try:
            started = subprocess.Popen(
                [*dies_with_us, *(str(part) for part in command)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={**os.environ, "NO_PROXY": "127.0.0.1", **(environ or {})},
            )
        except FileNotFoundError:
            raise NotInstalled(f"there is no {command[0]}") from None
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@contextmanager
def _running(
    command: Sequence[str | Path],
    folder: Path,
    other: Callable[[int], Other],
    upstream: int,
    environ: dict[str, str] | None = None,
) -> Iterator[Other]:
    """The process, once it answers."""
    with process(command, folder, environ) as it:
        started = other(it.pid)
        try:
            _await_answer(it, started, upstream)
        except NotInstalled as reason:
            said = (folder / "log").read_text(errors="replace")[-1500:]
            raise NotInstalled(f"{reason}\n{said}") from None
        yield started


def _litellm(home: Path, folder: Path, upstream: int) -> AbstractContextManager[Other]:
    """Its settings for production; keys are checked against the master key, without a database."""
    port, key = free_port(), "sk-" + secrets.token_hex(16)
    (folder / "config.yaml").write_text(_LITELLM.format(upstream=upstream))
    options = ("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    return _running(
        (home / "bin" / "litellm", *options, "--config", "config.yaml"),
        folder,
        lambda pid: Other(System("litellm", "", port, key, nginx=pid), LITELLM),
        upstream,
        {
            "LITELLM_MASTER_KEY": key,
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # the mock's chunks are all alike, which it would take for a model gone wrong
            "REPEATED_STREAMING_CHUNK_LIMIT": "1000000",
        },
    )


ONE_THREAD = {"TOKIO_WORKER_THREADS": "1"}


def router_options(port: int, urls: Sequence[str], policy: str) -> list[str]:
    """What vLLM's router and SGLang's are both told."""
    return f"""--host 127.0.0.1 --port {port} --log-level error --policy {policy}
        --prometheus-host 127.0.0.1 --prometheus-port {free_port()}
        --worker-urls {" ".join(urls)} --worker-startup-check-interval 1""".split()


def _router(
    name: str, version: str, *subcommand: str
) -> Callable[[Path, Path, int], AbstractContextManager[Other]]:
    """vLLM's router, or SGLang's, of which it is a fork: one worker, no request log."""

    def start(home: Path, folder: Path, upstream: int) -> AbstractContextManager[Other]:
        port = free_port()
        return _running(
            (
                *(home / "bin" / name, *subcommand),
                *router_options(port, [f"http://127.0.0.1:{upstream}"], "round_robin"),
            ),
            folder,
            lambda pid: Other(System(name, "", port, nginx=pid), version),
            upstream,
            ONE_THREAD,
        )

    return start


def _portkey(home: Path, folder: Path, upstream: int) -> AbstractContextManager[Other]:
    """It is told by each request where to send it; it has no keys of its own."""
    port = free_port()
    (folder / "loopback.cjs").write_text(_LOOPBACK)
    script = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    return _running(
        ("node", "--require", "./loopback.cjs", script, "--headless", f"--port={port}"),
        folder,
        lambda pid: Other(System("portkey", "", port, nginx=pid), PORTKEY, headers),
        upstream,
        {"NODE_ENV": "production"},
    )


def _haproxy(home: Path, folder: Path, upstream: int) -> AbstractContextManager[Other]:
    """A plain reverse proxy with one thread, connections kept on both sides."""
    port, program = free_port(), home / "usr" / "sbin" / "haproxy"
    (folder / "haproxy.cfg").write_text(_HAPROXY.format(port=port, upstream=upstream))
    libraries = ":".join(str(each) for each in home.glob("usr/lib/*-linux-gnu*"))
    environ = {"LD_LIBRARY_PATH": libraries} if libraries else {}
    # "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"
    version = run(program, "-v", environ=environ).split()[2]
    return _running(
        (program, "-db", "-q", "-f", "haproxy.cfg"),
        folder,
        lambda pid: Other(System("haproxy", "", port, nginx=pid), version),
        upstream,
        environ,
    )


def _optional(
    name: str, start: Callable[[Path, Path, int], AbstractContextManager[Other]]
) -> Start:
    """Installed first, in a folder of its own; None and a printed reason where it fails."""

    @contextmanager
    def started(folder: Path, upstream: int) -> Iterator[Other | None]:
        below = folder / f"{name}-{upstream}"
        below.mkdir()
        with ExitStack() as stack:
            other = None
            try:
                other = stack.enter_context(start(install(name), below, upstream))
            except NotInstalled as reason:
                print(f"{name} is left out: {reason}", flush=True)
            yield other

    return started


OTHERS: dict[str, Start] = {
    name: _optional(name, start)
    for name, start in (
        ("haproxy", _haproxy),
        ("vllm-router", _router("vllm-router", VLLM_ROUTER)),
        ("sglang-router", _router("sglang-router", SGLANG_ROUTER, "launch")),
        ("portkey", _portkey),
        ("litellm", _litellm),
    )
}


def main() -> None:
    engine = next(each for each in find_engines(ENGINES_HOME) if each.usable)
    with tempfile.TemporaryDirectory(prefix="ig-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with mock(engine, folder) as upstream:
            for chosen in sys.argv[1:] or OTHERS:
                with OTHERS[chosen](folder, upstream.port) as other:
                    if other is None:
                        continue
                    system = other.system
                    answer = _ask(system.port, system.key, other.extra_headers, stream=False)
                    print(f"{chosen} {other.version}: {answer.status_code} {answer.text}")


if __name__ == "__main__":
    main()
