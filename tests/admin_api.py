"""The admin API of a gateway that does not run, on a port of this machine."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from infergate.admin.app import api
from infergate.admin.gateway import Gateway
from infergate.admin.guard import AdminGuard
from infergate.config.load import load_config
from infergate.config.url import own_url_of
from infergate.page.app import Page
from infergate.paths import Home
from infergate.store.admin_tokens import create_token

ROOT = Path(__file__).parents[1]
CONFIG = "backends: { gpu1: http://127.0.0.1:9 }\nlisten: { http: 8080, hosts: [api.lan] }\n"


@dataclass(frozen=True)
class Served:
    """An admin API. full, read: a token of each role."""

    url: str
    gateway: Gateway
    full: str
    read: str


@contextmanager
def served(folder: Path, config: str = CONFIG, *, wrong_tokens: int = 10) -> Iterator[Served]:
    """wrong_tokens: how many an address may send in a minute."""
    home = Home(folder)
    for each in (home.state, home.run, home.logs):
        each.mkdir(parents=True, exist_ok=True)
    file = folder / "infergate.yaml"
    file.write_text(config)
    gateway = Gateway(load_config(file, {}), home, keep=True)
    full, _ = create_token(gateway.database, "full", "full")
    read, _ = create_token(gateway.database, "read", "read")
    listener = socket.create_server(("127.0.0.1", 0))
    app = Page(
        AdminGuard(api(lambda: gateway), lambda: gateway, wrong_tokens=wrong_tokens),
        gateway_url=lambda: own_url_of(gateway.loaded.config),
        enabled=lambda: gateway.declared.config.admin.page,
    )
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        host, port = listener.getsockname()
        yield Served(f"http://{host}:{port}", gateway, full, read)
    finally:
        server.should_exit = True
        thread.join()
        gateway.database.close()


def schemathesis(api: Served, *options: str) -> None:
    """Run it with its checks. Raises AssertionError with what it found."""
    program = Path(sys.executable).with_name("schemathesis")
    authorization = f"Authorization: Bearer {api.full}"
    command = [program, "run", f"{api.url}/openapi.json", "-H", authorization, "--no-color"]
    # A reset takes out a backend that was added by hand: that is a resource lost to schemathesis.
    # And one that was taken out can still be asked what it is answering.
    excluded = "ensure_resource_availability,use_after_free"
    checks = ["--checks", "all", "--exclude-checks", excluded]
    ran = subprocess.run(
        [*command, *checks, *options],
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.schemathesis_formats",
            "PYTHONPATH": str(ROOT),
        },
        cwd=api.gateway.home.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
