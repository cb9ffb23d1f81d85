"""What systemd is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from infergate.supervise.notify import READY, notify


def test_systemd_is_told_at_the_socket_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    for name, address in ((path, path), (f"@ig-{os.getpid()}", f"\0ig-{os.getpid()}")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(address)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            notify(READY, "STATUS=answering")
            assert systemd.recv(100) == b"READY=1\nSTATUS=answering"
    notify(READY)  # nobody listens any more: the gateway goes on
