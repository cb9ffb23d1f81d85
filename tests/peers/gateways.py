"""Gateways for a suite in another process, which asks for one by a socket and ends it by hanging
up.

A suite starts a server for each of its tests. Gateways that are forks of one process, which has
loaded everything, start in a quarter of the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
from pathlib import Path

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


def serve(suite: subprocess.Popen[bytes], address: Path) -> None:
    """Start and end gateways as they are asked for, until the suite has ended."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen(32)
        open_: dict[socket.socket, Gateway] = {}
        try:
            while suite.poll() is None:
                readable, _, _ = select.select([listening, *open_], [], [], _LOOK_EVERY_S)
                for each in readable:
                    if each is listening:
                        asking, _ = listening.accept()
                        open_[asking] = _start(asking)
                    else:
                        open_.pop(each).remove()
                        each.close()  # whoever hung up waits for this: the port is free again
        finally:
            for gateway in open_.values():
                gateway.remove()


def _start(asking: socket.socket) -> Gateway:
    with asking.makefile("r") as lines:
        asked = json.loads(lines.readline())
    model, key = asked.pop("model"), asked.pop("key")
    gateway = Gateway(os.environ.get("PEERS_ENGINE", "auto"), "", forked=True)
    keys = gateway.folder / _KEYS
    if key:  # the engine's own is what the suite's clients send
        keys.write_text(f'"Bearer {key}" 1; # suite\n')
    gateway.write(
        CONFIG.format(
            models=_MODELS.format(model=json.dumps(model)) if model else "",
            auth=f"auth: {{ keys_file: {keys} }}" if key else "auth: { required: false }",
            api_key=f", api_key: {json.dumps(key)}" if key else "",
            **asked,
        )
    )
    ran = gateway.run("up", "--detach", check=False)
    said = json.dumps(ran.stderr if ran.returncode else "")
    with contextlib.suppress(BrokenPipeError):  # the suite wants no more of it
        asking.sendall(f"{said}\n".encode())
    return gateway
