"""`python -m bench.translated`: what the API tier adds to a request that it translates.

The same stream is asked for in Anthropic's dialect of a backend that speaks it, which nginx relays
alone, and of one that has chat completions only. Both take turns in one run, so that whatever else
the machine does meets both: told is the median of the differences, pair by pair. CPU is that of the
tier's process, from /proc/PID/schedstat.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import time
from dataclasses import asdict, dataclass

from bench.lockstep import Mock, mock
from bench.systems import cpu_us
from tests.gateway import Gateway, gateway, until

_CONFIG = """
backends:
  speaks: {{ url: http://127.0.0.1:{port}, engine: vllm }}
  chat: {{ url: http://127.0.0.1:{port}, engine: tgi }}
models:
  native: {{ backends: [speaks], upstream_name: bench }}
  translated: {{ backends: [chat], upstream_name: bench }}
api: {{}}
"""
_CHUNKS = 5
_MORE_CHUNKS = 105
_WARM = 20
_TIER = "api"
"""As `infergate status` calls its process."""


@dataclass(frozen=True)
class Measured:
    """In milliseconds, medians. native_ms, translated_ms: until the first token is with the client.
    later_ms: of the differences between both, pair by pair. stream_ms: CPU of the tier for a
    stream of five chunks, whole_ms for an answer in one piece, chunk_ms for each further chunk."""

    native_ms: float
    translated_ms: float
    later_ms: float
    stream_ms: float
    whole_ms: float
    chunk_ms: float


class Client:
    """One kept connection. Each chunk of a stream is read before the backend sends the next."""

    def __init__(self, it: Gateway, backend: Mock) -> None:
        self._socket = socket.create_connection(("127.0.0.1", it.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader, self._key, self._taken = self._socket.makefile("rb"), it.key, backend.taken

    def ask(self, model: str, chunks: int | None) -> float:
        """Seconds until the first token was here. chunks: None for an answer in one piece."""
        asked = {"model": model, "max_tokens": chunks or 1, "messages": _MESSAGES}
        if chunks is not None:
            asked["stream"] = True
        body = json.dumps(asked).encode()
        head = (
            f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._key}"
            "\r\nanthropic-version: 2023-06-01\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        begun = time.perf_counter()
        self._socket.sendall(head.encode() + body)
        return (self._stream() if chunks is not None else self._whole()) - begun

    def _head(self) -> bytes:
        lines = []
        while (line := self._reader.readline()) != b"\r\n":
            lines.append(line)
        if b" 200 " not in lines[0]:
            raise RuntimeError(f"not 200: {lines}")
        return b"".join(lines).lower()

    def _whole(self) -> float:
        length = self._head().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0]
        self._reader.read(int(length))
        return time.perf_counter()

    def _stream(self) -> float:
        self._head()
        first = 0.0
        while size := int(self._reader.readline(), 16):
            tokens = self._reader.read(size + 2).count(b'" token"')
            if tokens and not first:
                first = time.perf_counter()
            for _ in range(tokens):
                self._taken.release()
        self._reader.readline()
        return first


_MESSAGES = [{"role": "user", "content": "x" * 120}]


def measure(engine: str, pairs: int) -> Measured:
    """Against a gateway of its own."""
    with mock() as backend, gateway(engine, _CONFIG.format(port=backend.port), forked=True) as it:
        until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
        client = Client(it, backend)
        for _ in range(_WARM):
            for model in ("native", "translated"):
                client.ask(model, _CHUNKS)
        native, translated = list[float](), list[float]()
        for number in range(pairs):
            order = [("native", native), ("translated", translated)]
            for model, times in order if number % 2 else reversed(order):
                times.append(client.ask(model, _CHUNKS) * 1000)
        pids = tuple(each["pid"] for each in it.status()["tier"] if each["name"] == _TIER)

        def cpu_ms(chunks: int | None, requests: int) -> float:
            before = cpu_us(pids)
            for _ in range(requests):
                client.ask("translated", chunks)
            return (cpu_us(pids) - before) / 1000 / requests

        stream, long = cpu_ms(_CHUNKS, pairs), cpu_ms(_MORE_CHUNKS, max(pairs // 10, 1))
        return Measured(
            statistics.median(native),
            statistics.median(translated),
            statistics.median(b - a for a, b in zip(native, translated, strict=True)),
            stream,
            cpu_ms(None, pairs),
            (long - stream) / (_MORE_CHUNKS - _CHUNKS),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.translated", description=__doc__)
    parser.add_argument("--engine", default="embedded", help="debian, embedded")
    parser.add_argument("--pairs", type=int, default=300)
    options = parser.parse_args()
    for name, value in asdict(measure(options.engine, options.pairs)).items():
        print(f"{name.replace('_ms', ''):12}{value:8.3f} ms")


if __name__ == "__main__":
    main()
