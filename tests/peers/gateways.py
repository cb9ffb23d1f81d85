"""Gateways for a suite in another process, which asks for one by a socket and ends it by hanging
up.

A suite starts a server for each of its tests. Gateways that are forks of one process, which has
loaded everything, start in a quarter of the time; and one that has seen its engine go waits for the
next that is like it, at the same ports.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import time
from pathlib import Path

import httpx

from tests.gateway import Gateway

CONFIG = """
listen: {{ http: {listen} }}
{auth}
backends: {{ engine: {{ url: "http://127.0.0.1:{behind}", engine: {kind}{api_key} }} }}
{models}
health: {{ interval: 500ms, rise: 1, fall: 1 }}
validation: "off"
"""

_MODELS = """
models: {{ {model}: [engine], "*": [engine] }}
default_model: {model}
"""
"""llama.cpp's own tests seldom name a model; one of the file is routed before it is discovered."""

_KEYS = "keys.conf"

_LOOK_EVERY_S = 0.2

_SEEN_S = 30
"""Until a probe has seen an engine that came or went: it is asked twice in a second."""


class Gateways:
    def __init__(self) -> None:
        self._used: dict[socket.socket, tuple[str, Gateway]] = {}
        self._idle: dict[str, Gateway] = {}

    @property
    def asking(self) -> list[socket.socket]:
        return list(self._used)

    def start(self, asking: socket.socket) -> None:
        with asking.makefile("r") as lines:
            asked = lines.readline()
        said = ""
        gateway = self._idle.pop(asked, None)
        if gateway is None:
            self._remove_idle()  # it may listen where this one is to
            gateway, said = _started(**json.loads(asked))
        else:
            _wait_for(200, **json.loads(asked))
        self._used[asking] = asked, gateway
        with contextlib.suppress(BrokenPipeError):  # the suite wants no more of it
            asking.sendall(f"{json.dumps(said)}\n".encode())

    def end(self, asking: socket.socket) -> None:
        asked, gateway = self._used.pop(asking)
        if _wait_for(503, **json.loads(asked)):
            self._idle[asked] = gateway
        else:
            gateway.remove()
        asking.close()  # whoever hung up waits for this: nothing answers there that it is well

    def remove(self) -> None:
        self._remove_idle()
        for _, gateway in self._used.values():
            gateway.remove()

    def _remove_idle(self) -> None:
        while self._idle:
            self._idle.popitem()[1].remove()


def serve(suite: subprocess.Popen[bytes], address: Path) -> None:
    """Start and end gateways as they are asked for, until the suite has ended."""
    gateways = Gateways()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen(32)
        try:
            while suite.poll() is None:
                readable, _, _ = select.select([listening, *gateways.asking], [], [], _LOOK_EVERY_S)
                for each in readable:
                    if each is listening:
                        gateways.start(listening.accept()[0])
                    else:
                        gateways.end(each)
        finally:
            gateways.remove()


def _started(
    listen: str, behind: int, kind: str, model: str | None, key: str
) -> tuple[Gateway, str]:
    """And what stood against its start, empty if nothing did."""
    gateway = Gateway(os.environ.get("PEERS_ENGINE", "auto"), "", forked=True)
    keys = gateway.folder / _KEYS
    if key:  # the engine's own is what the suite's clients send
        keys.write_text(f'"Bearer {key}" 1; # suite\n')
    gateway.write(
        CONFIG.format(
            listen=listen,
            behind=behind,
            kind=kind,
            models=_MODELS.format(model=json.dumps(model)) if model else "",
            auth=f"auth: {{ keys_file: {keys} }}" if key else "auth: { required: false }",
            api_key=f", api_key: {json.dumps(key)}" if key else "",
        )
    )
    ran = gateway.run("up", "--detach", check=False)
    return gateway, ran.stderr if ran.returncode else ""


def _wait_for(status: int, listen: str, **_rest: object) -> bool:
    """Whether it said so of its health in time: that its engine is there, or is gone."""
    deadline = time.monotonic() + _SEEN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://{listen}/health", timeout=60).status_code == status:
                return True
        time.sleep(0.1)
    return False
