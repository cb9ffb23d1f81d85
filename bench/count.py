"""`make count`: instructions that nginx executes for a request, counted by valgrind's callgrind.
A row that is more than 3 % above bench/counts.json fails it, of the API tier 10 %.

They do not depend on what else the machine does, and repeat within 1 %. The gateway is started as
always, stopped again, and its nginx alone, as one process, goes on under callgrind with the same
files and the same state: nothing probes or counts beside it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench import callgrind, count_tier
from bench.callgrind import Callgrind
from bench.load import prompt
from bench.lockstep import Client, mock, to_port
from bench.systems import LIMITS, Instance, three_backends
from infergate.engine.choose import Engine, find_engines
from infergate.engine.facts import dotted
from tests.cache import ENGINES_HOME

BASELINE = Path(__file__).parent / "counts.json"
"""Engine with its versions → row → instructions."""

MOST = 1.03
"""Times the baseline; a row above it fails the gate."""
LEAST = 0.5
"""Half of it is no saving but a count of something else."""

_START_WITHIN_S = 600.0
_WARM = 3
"""Requests before the count: connections are opened, memory is taken, answers are kept."""

_BY_THE_CLOCK = re.compile(r"^ *js_periodic .*;$| flush=\w+", re.MULTILINE)
"""What nginx does every so often, however many requests there are. Taken out, because a machine
that is busy would have more of it in each request."""

_CONFIG = """\
models:
  bench: {{ backends: [a, b, c], balance: least_busy }}
  kept: {{ backends: [a], cache: {{ ttl: 1h }} }}
  patient: {{ backends: [a, b, c], timeouts: {{ connect: 7s }}, balance: least_busy }}
  work: {{ backends: [a, b, c], balance: work }}
services: {{ other: {{ url: http://127.0.0.1:{upstream}, path: /other/ }} }}
"""


@dataclass(frozen=True)
class Counted:
    """One row. requests: so many of them are counted; key: whose, see `_KEYS`; max_tokens:
    None for a body that does not say; chunks: of a stream, where the row is what one more of them
    costs; says_usage: whether it asks for the usage of a stream, as most clients do not."""

    name: str
    requests: int
    path: str = "/v1/chat/completions"
    model: str = "bench"
    content: tuple[int, str] = (120, "x")
    key: str = "free"
    chunks: int = 0
    max_tokens: int | None = 100
    stream: bool = False
    says_usage: bool = True


ROWS = (
    Counted("200 B", 300),
    Counted("200 B, limits", 300, key="limited"),
    Counted("200 B, no max_tokens", 200, max_tokens=None),
    Counted("200 B, own timeouts", 200, model="patient"),
    Counted("20 kB", 100, content=(20_000, "x")),
    Counted("1 MB", 10, content=(1_000_000, "base64")),
    Counted("200 B, work", 300, model="work"),
    Counted("3 kB", 100, content=(3_000, "x")),
    Counted("3 kB, work", 100, model="work", content=(3_000, "x")),
    Counted("20 kB, work", 100, model="work", content=(20_000, "x")),
    Counted("48 kB", 100, content=(48_000, "x")),
    Counted("48 kB, work", 100, model="work", content=(48_000, "x")),
    Counted("1 MB, work", 10, model="work", content=(1_000_000, "base64")),
    Counted("chunk", 4, chunks=200),
    Counted("chunk, usage unasked", 4, chunks=200, says_usage=False),
    Counted("20 kB stream, held", 100, content=(20_000, "x"), max_tokens=4, stream=True),
    Counted("chunk, held", 4, content=(20_000, "x"), chunks=200),
    Counted("embedding, kept", 300, path="/v1/embeddings", model="kept"),
    Counted("service", 300, path="/other/collections"),
)
_KEYS: Mapping[str, Sequence[str]] = {"free": (), "limited": LIMITS}


def count(
    engine: Engine, folder: Path, wanted: Sequence[Counted] = ROWS
) -> Iterator[tuple[str, int]]:
    """Row → instructions of one request, or of one chunk, as they are counted."""
    with mock() as backend:
        config = three_backends(backend.port) + _CONFIG.format(upstream=backend.port)
        it = Instance(engine, folder / f"ig-{engine.origin}", config)
        with it.up():
            keys = {name: it.new_key(name, *limits) for name, limits in _KEYS.items()}
        with _alone(engine, it) as nginx:
            client = Client(to_port(it.port), backend.taken)
            for row in wanted:
                yield row.name, _count_row(row, keys[row.key], client, nginx)
            client.close()


@contextmanager
def _alone(engine: Engine, it: Instance) -> Iterator[Callgrind]:
    """The nginx of a gateway that was stopped, as one process under callgrind."""
    for file in (it.home / "current").resolve().rglob("*.conf"):
        file.write_text(_BY_THE_CLOCK.sub("", file.read_text()))
    out = it.home / "callgrind"
    out.mkdir()
    command = replace(engine, argv=(*callgrind.options(out), *engine.argv)).command(
        "-p", str(it.home), "-c", str(it.home / "current/nginx.conf"), "-g"
    )
    with (out / "said").open("wb") as said:
        process = subprocess.Popen(
            [*command, "master_process off;"], stdout=said, stderr=said, cwd=it.home
        )
    try:
        _wait_for(it.port, process, out / "said")
        yield Callgrind(process.pid, out)
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            why = said.read_text() or f"exit code {process.poll()}"
            raise SystemExit(f"nginx did not start under callgrind: {why}")
        time.sleep(0.1)


def _count_row(row: Counted, key: str, client: Client, nginx: Callgrind) -> int:
    def executed(request: bytes) -> int:
        nginx.executed()
        for _ in range(row.requests):
            client.ask(request)
        return nginx.executed()

    request = _request(row, key, row.chunks)
    for _ in range(_WARM):
        client.ask(request)
    if not row.chunks:
        return round(executed(request) / row.requests)
    fewer = row.chunks // 4
    more = executed(request) - executed(_request(row, key, fewer))
    return round(more / row.requests / (row.chunks - fewer))


def _request(row: Counted, key: str, chunks: int) -> bytes:
    content = prompt(*row.content)
    asked: dict[str, object] = {"model": row.model}
    if most := chunks or row.max_tokens:
        asked["max_tokens"] = most
    if row.path.endswith("/embeddings"):
        asked["input"] = content
    else:
        asked["messages"] = [{"role": "user", "content": content}]
    if chunks or row.stream:
        asked["stream"] = True
        if row.says_usage:
            asked["stream_options"] = {"include_usage": True}
    body = json.dumps(asked).encode()
    head = (
        f"POST {row.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def name_of(engine: Engine) -> str:
    """ "debian, nginx 1.26.3, njs 0.8.9": what a baseline holds for."""
    njs = dotted(engine.njs_version or ())
    return f"{engine.origin}, nginx {dotted(engine.nginx_version)}, njs {njs}"


def read_baseline() -> dict[str, dict[str, int]]:
    baseline: dict[str, dict[str, int]] = json.loads(BASELINE.read_text())
    return baseline


def _in_words(name: str, instructions: int, before: int | None) -> str:
    line = f"  {name:22}{instructions:>11,}"
    return f"{line}  {instructions / before - 1:+7.1%}" if before else f"{line}  no baseline"


def _engines(wanted: str) -> dict[str, Engine]:
    found: dict[str, Engine] = {}
    if wanted == count_tier.NAME:
        return found
    for engine in find_engines(ENGINES_HOME):
        if engine.usable and wanted in ("all", engine.origin):
            found.setdefault(engine.origin, engine)  # of several from Debian, the newest
    if not found:
        raise SystemExit("there is no engine to count on (`make test` brings them)")
    return found


def _counts(
    wanted: str, names: Sequence[str] | None, folder: Path
) -> Iterator[tuple[str, float, Iterator[tuple[str, int]]]]:
    """What is counted, how many times its baseline it may be, and its rows.

    names: of the rows that are wanted; None for all.
    """
    rows = [row for row in ROWS if names is None or row.name in names]
    for engine in _engines(wanted).values() if rows else ():
        yield name_of(engine), MOST, count(engine, folder, rows)
    of_tier = [row for row in count_tier.ROWS if names is None or row.name in names]
    if wanted in ("all", count_tier.NAME) and of_tier:
        yield count_tier.title(), count_tier.MOST, count_tier.count(folder, of_tier)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.count", description=__doc__)
    parser.add_argument(
        "--engine",
        default="all",
        help=f"debian, embedded, system, or {count_tier.NAME}; all if not said",
    )
    names = [row.name for row in ROWS] + [row.name for row in count_tier.ROWS]
    parser.add_argument("--row", action="append", choices=names)
    parser.add_argument("--accept", action="store_true", help="make this the baseline")
    options = parser.parse_args()
    if shutil.which("vgdb") is None:
        raise SystemExit("valgrind is not installed; your distribution has a package of that name")
    baseline, above, odd = read_baseline(), list[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="ig-") as folder:
        Path(folder).chmod(0o755)
        for title, most, counted in _counts(options.engine, options.row, Path(folder)):
            print(title)
            known = baseline.setdefault(title, {})
            for name, instructions in counted:
                print(_in_words(name, instructions, known.get(name)), flush=True)
                if options.accept:
                    known[name] = instructions
                elif instructions > most * known.get(name, instructions):
                    above.append(f"{name} of {title}")
                elif instructions < LEAST * known.get(name, instructions):
                    odd.append(f"{name} of {title}")
    if options.accept:
        BASELINE.write_text(json.dumps(baseline, indent=1) + "\n")
    if odd:
        raise SystemExit(f"so few cannot be right, count again: {', '.join(odd)}")
    if above:
        raise SystemExit(f"too far above bench/counts.json: {', '.join(above)}")


if __name__ == "__main__":
    main()
