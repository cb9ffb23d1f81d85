"""A gateway that never ran, and what is found there."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.doctor.backends import check_backends
from infergate.hardening.check import Check
from infergate.paths import Home
from tests.backends.servers import free_port

MODELS = {"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]}
VLLM: Mapping[str, Any] = {"/v1/models": MODELS, "/health": "", "/version": {"version": "0.11"}}


@contextlib.contextmanager
def engine(
    answers: Mapping[str, Any],
    *,
    prefix: str = "",
    key: str | None = None,
    page: str | None = None,
    to: str | None = None,
    ahead_s: float = 0.0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Its URL. page: what it answers anywhere else; to: where it redirects to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = answers.get(self.path.removeprefix(prefix))
            status, kind = (200, "application/json")
            body = json.dumps(said)
            if key is not None and self.headers.get("authorization") != f"Bearer {key}":
                status = 401
            elif to is not None:
                status = 307
            elif said is None or not self.path.startswith(prefix):
                status, kind, body = (404, kind, "{}") if page is None else (200, "text/html", page)
            self.send_response(status)
            for name, value in (
                ("Date", formatdate(time.time() + ahead_s, usegmt=True)),
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                *([("Location", to)] if to else ()),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def send_response(self, code: int, message: str | None = None) -> None:
            self.send_response_only(code, message)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *arguments: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    for folder in (found.state, found.run, found.logs):
        folder.mkdir(parents=True, mode=0o700)
    return found


def config(backends: Mapping[str, Any], more: str = "") -> Config:
    text = f"backends: {json.dumps(backends)}\nlisten: 127.0.0.1:{free_port()}\n{more}"
    return parse_config(text, Path("infergate.yaml"), {"KEY": "right", "WRONG": "wrong"}).config


def about(name: str, checks: Iterator[Check]) -> Check:
    return next(each for each in checks if each.name == name)


def one(backend: Mapping[str, Any]) -> Check:
    return about("backend.a", check_backends(config({"a": backend})))
