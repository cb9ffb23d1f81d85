"""What a worker that somebody got hold of may answer on nginx's internal socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from infergate.errors import StateError
from infergate.live import shared_memory
from infergate.live.shared_memory import forget_answers, kept_answers, push, read

GOOD = (
    '{"revision": 1, "keys": 0, "routes": 0, "inflight": {"a": 1}, "backends": {}, "load": {},'
    ' "breakers": {}, "waiting": {}, "kept": {}}'
)


def answering(folder: Path, pieces: Callable[[], list[bytes]], pause_s: float = 0.0) -> Path:
    """A socket that gives one answer, piece by piece."""
    path = folder / "s"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def answer() -> None:
        gap = threading.Event()
        with server, server.accept()[0] as client, suppress(OSError):
            client.recv(65536)
            for piece in pieces():
                client.sendall(piece)
                gap.wait(pause_s)
            while client.recv(65536):  # the rest of what it asked, until it has gone
                pass

    threading.Thread(target=answer, daemon=True).start()
    return path


def said(text: str, status: int = 200) -> list[bytes]:
    body = text.encode()
    return [f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body]


def test_a_workers_answer_is_read(tmp_path: Path) -> None:
    assert read(answering(tmp_path, lambda: said(GOOD))).in_flight == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nul",
        "{}",
        "[" * 100_000,
        GOOD.replace("1,", '"x",', 1),
        GOOD.replace('{"a": 1}', '{"a": 1e999}'),
        GOOD.replace('"load": {}', '"load": []'),
        GOOD.replace('"breakers": {}', '"breakers": {"a": "{"}'),
        GOOD[:-1] + ', "zones": {"x": [0, 0, 0]}}',
    ],
)
@pytest.mark.parametrize("ask", [read, kept_answers, lambda path: forget_answers(path, None)])
def test_what_our_njs_never_says_is_an_error_that_is_told(
    tmp_path: Path, text: str, ask: Callable[[Path], object]
) -> None:
    with pytest.raises(StateError, match="cannot be understood"):
        ask(answering(tmp_path, lambda: said(text)))


def test_a_list_of_full_zones_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be understood"):
        push(answering(tmp_path, lambda: said("[1]", 507)), {})


def test_an_answer_without_an_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "_LARGEST_ANSWER", 1 << 20)
    endless = [b"HTTP/1.1 200 X\r\n\r\n", *[bytes(1 << 16)] * 100]
    with pytest.raises(StateError, match="does not end"):
        read(answering(tmp_path, lambda: endless))


def test_an_answer_that_comes_byte_by_byte_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "_ANSWERED_WITHIN_S", 0.1)
    slowly = [b"HTTP/1.1 200 X\r\n", *[b"a: b\r\n"] * 10_000]
    with pytest.raises(StateError, match="has not ended"):
        read(answering(tmp_path, lambda: slowly, pause_s=0.01))
