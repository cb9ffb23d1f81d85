"""The client of nginx's internal unix socket, where shared memory is written and read.

A worker answers, which somebody may have got hold of: whatever it says, however long and however
slowly, the caller hears of a StateError at worst.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from infergate.contract.live import CountedKey, Waiting
from infergate.contract.numbers import OWED_PENDING
from infergate.errors import MemoryFull, StateError
from infergate.nginx.zones import Fill, fills

T = TypeVar("T")

_TIMEOUT_S = 5.0
_ANSWERED_WITHIN_S = 30.0
"""From its first byte to its last."""
_LARGEST_ANSWER = 64 * 1024 * 1024
"""The keys of 600,000 kept answers."""


class NginxNotThere(StateError):
    """Nobody listens at the socket: nginx is not running, and will load the snapshot itself."""


@dataclass(frozen=True)
class LiveState:
    """What shared memory holds.

    revision: number of the rendered configuration the answering worker runs.
    in_flight: backend → requests in flight.
    conditions: backend → "down", "drained" or "until:<ms>" (njs/state.js).
    load: backend → requests it is taken to have besides ours (health/load.py).
    pending: backend → prompt tokens sent there that have no first token yet, of answers that are
        streamed; prompts: all prompt tokens in flight (njs/owed.js).
    engines: backend → what njs is told of it, as njs/work.js describes it.
    breakers: backend → its circuit breaker (njs/breaker.js); only of those that failed lately.
    waiting: requests in the queue; waiting_by_model: those that wait for each (njs/queue.js).
    kept: model → requests answered with a kept answer, and those for which there was none, since
        nginx started (njs/keep.js).
    zones: how full they are.
    uncopied: model → requests that its shadow got no copy of, by the reason (njs/shadow.js).
    """

    revision: int
    keys: int
    routes: int
    in_flight: Mapping[str, int]
    conditions: Mapping[str, str]
    load: Mapping[str, float]
    breakers: Mapping[str, tuple[Any, ...]]
    waiting: int
    kept: Mapping[str, tuple[int, int]]
    zones: tuple[Fill, ...] = ()
    uncopied: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    waiting_by_model: Mapping[str, int] = field(default_factory=dict)
    pending: Mapping[str, int] = field(default_factory=dict)
    prompts: Mapping[str, int] = field(default_factory=dict)
    engines: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


class _Bounded(socket.socket):
    """A socket on which an answer has to end."""

    _ends: float | None = None

    def recv_into(self, *arguments: Any) -> int:
        now = time.monotonic()
        self._ends = self._ends or now + _ANSWERED_WITHIN_S
        if now > self._ends:
            raise TimeoutError(f"it has not ended within {_ANSWERED_WITHIN_S:.0f} s")
        return super().recv_into(*arguments)


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a unix socket, with or without TLS."""

    def __init__(
        self, path: Path, tls: ssl.SSLContext | None = None, host: str = "localhost"
    ) -> None:
        super().__init__(host, timeout=_TIMEOUT_S)
        self._path, self._tls = path, tls

    def connect(self) -> None:
        self.sock = _Bounded(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)


def _ask(path: Path, method: str, body: str | None = None, uri: str = "/state") -> str:
    connection = UnixConnection(path)
    try:
        connection.request(method, uri, body=None if body is None else body.encode())
        response = connection.getresponse()
        data = response.read(_LARGEST_ANSWER + 1)
    except (FileNotFoundError, ConnectionRefusedError) as problem:
        raise NginxNotThere("nginx is not running", where=str(path)) from problem
    except (OSError, http.client.HTTPException) as problem:
        raise StateError(f"nginx did not answer: {problem}", where=str(path)) from problem
    finally:
        connection.close()
    if len(data) > _LARGEST_ANSWER:
        raise StateError("nginx's answer does not end", where=str(path), hint=_ODD_HINT)
    text = data.decode(errors="replace")
    if response.status == http.HTTPStatus.INSUFFICIENT_STORAGE:
        full = _understood(path, text, lambda said: {str(k): int(v) for k, v in said.items()})
        raise MemoryFull(full, where=str(path))
    if response.status >= 300:
        raise StateError(
            f"nginx refused the state: {response.status} {text[:200]}", where=str(path)
        )
    return text


_ODD_HINT = "Look into logs/error.log; `infergate down` and `up` start other workers."


def _understood(path: Path, text: str, parse: Callable[[Any], T]) -> T:
    """Raises StateError where it is not what our njs says."""
    try:
        return parse(json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise StateError(
            "nginx's answer cannot be understood", where=str(path), hint=_ODD_HINT
        ) from None


def push(path: Path, document: Mapping[str, Any]) -> None:
    """Bring shared memory to what the document says; njs/state.js describes it.

    Raises NginxNotThere if nginx is not running, MemoryFull if some of it had no room, StateError
    if nginx refuses it.
    """
    _ask(path, "POST", json.dumps(document, ensure_ascii=False))


@dataclass(frozen=True)
class Connections:
    """nginx's own counts: of connections now, by what they do, and of all since it started."""

    reading: int
    writing: int
    waiting: int
    accepted: int


_CONNECTIONS = re.compile(
    r"(?P<accepted>\d+) \d+ \d+ \s*"
    r"Reading: (?P<reading>\d+) Writing: (?P<writing>\d+) Waiting: (?P<waiting>\d+)"
)
"""https://nginx.org/en/docs/http/ngx_http_stub_status_module.html"""


def connections(path: Path) -> Connections | None:
    """None where the engine has no stub_status. Raises NginxNotThere, StateError as push does."""
    try:
        found = _CONNECTIONS.search(_ask(path, "GET", uri="/connections"))
    except NginxNotThere:
        raise
    except StateError:
        return None
    if found is None:
        raise StateError("nginx's answer cannot be understood", where=str(path), hint=_ODD_HINT)
    return Connections(**{name: int(value) for name, value in found.groupdict().items()})


def take_shadow_copies(path: Path) -> list[tuple[str, str, str]]:
    """The (backend, path, body) of each copy that waits to be sent. Raises as push does."""
    return _understood(
        path,
        _ask(path, "GET", uri="/shadow"),
        lambda said: [(str(name), str(uri), str(body)) for name, uri, body in said],
    )


def read(path: Path) -> LiveState:
    """What shared memory holds now. Raises as push does."""
    return _understood(path, _ask(path, "GET"), _live)


def _live(answer: dict[str, Any]) -> LiveState:
    return LiveState(
        revision=int(answer["revision"]),
        keys=int(answer["keys"]),
        routes=int(answer["routes"]),
        in_flight={
            k: int(v)
            for k, v in answer["inflight"].items()
            if k and ":" not in k and k[0].isalnum()  # njs/state.js and njs/work.js have the others
        },
        conditions={k: str(v) for k, v in answer["backends"].items() if k},
        load={k: float(v) for k, v in answer["load"].items()},
        pending={k: owed // OWED_PENDING for k, owed in _owed(answer["inflight"])},
        prompts={k: owed % OWED_PENDING for k, owed in _owed(answer["inflight"])},
        engines={
            k: tuple(float(each) for each in json.loads(v))
            for k, v in answer.get("engines", {}).items()
        },
        breakers={k: tuple(json.loads(v)) for k, v in answer["breakers"].items()},
        waiting=int(answer["waiting"].get("", 0)),
        kept=_kept(answer["kept"]),
        zones=fills(answer.get("zones", {})),  # none from nginx of an earlier version
        uncopied=_uncopied(answer.get("uncopied", {})),
        waiting_by_model={
            name.removeprefix(Waiting.MODEL): int(count)
            for name, count in answer["waiting"].items()
            if name.startswith(Waiting.MODEL)
        },
    )


def _owed(counts: Mapping[str, float]) -> list[tuple[str, int]]:
    return [(k[1:], int(v)) for k, v in counts.items() if k.startswith("+")]


def _uncopied(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key, count in counts.items():
        why, _, model = key.partition(" ")
        found.setdefault(model, {})[why] = int(count)
    return found


def _kept(counts: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    models = {key.partition(" ")[2] for key in counts}
    return {
        model: (
            counts.get(f"{CountedKey.HITS}{model}", 0),
            counts.get(f"{CountedKey.MISSES}{model}", 0),
        )
        for model in sorted(models)
    }


@dataclass(frozen=True)
class KeptInMemory:
    """How many answers are kept, by model; streams apart, which are in shared memory."""

    answers: Mapping[str, int]
    streams: Mapping[str, int]


def kept_answers(path: Path) -> KeptInMemory:
    """Raises as push does; StateError too if no model's answers are kept."""
    return _understood(
        path,
        _ask(path, "GET", uri="/cache"),
        lambda said: KeptInMemory(
            *({k: int(v) for k, v in said[each].items()} for each in ("answers", "streams"))
        ),
    )


def forget_answers(path: Path, model: str | None) -> tuple[list[str], int]:
    """Never give again what is kept, of one model or all; the keys of nginx's cache that this was,
    and how many streams. Raises as kept_answers does."""
    body = json.dumps({} if model is None else {"model": model})
    return _understood(
        path,
        _ask(path, "POST", body, "/cache"),
        lambda said: ([str(key) for key in said["keys"]], int(said["streams"])),
    )
