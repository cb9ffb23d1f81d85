"""`make bench`: CPU per request, ratios to raw nginx, latency added, memory. Writes bench/results/.

The systems take turns in rounds, so that what else the machine does meets all of them, and the
medians over the rounds are kept. Absolute numbers belong to the machine; read the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.report import Row, write_results
from bench.systems import System, cpu_us, gateway, mock, raw_nginx, rss_mb, streaming_mock
from infergate.nginx.engine import Engine, find_engines
from tests.cache import ENGINES_HOME

CHUNKS = 200
GOALS = {"debian": 3.0, "embedded": 5.0}
"""CPU per request with everything on, at most this many times raw nginx of the same engine."""


@dataclass(frozen=True)
class Scenario:
    """One kind of request. requests: in each round and for each system."""

    name: str
    prompt_bytes: int
    requests: int
    stream: bool = False


SCENARIOS = (
    Scenario("200 B", 120, 6000),
    Scenario("20 kB", 20_000, 2000),
    Scenario("stream", 120, 150, stream=True),
)


@dataclass
class Samples:
    """What the rounds gave for one system."""

    cpu_us: list[float] = field(default_factory=list)
    p50_us: dict[int, list[float]] = field(default_factory=lambda: {1: [], 16: []})
    p99_us: dict[int, list[float]] = field(default_factory=lambda: {1: [], 16: []})


def _load(system: System, scenario: Scenario, connections: int, requests: int) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "bench.load",
        "127.0.0.1",
        str(system.port),
        str(connections),
        str(requests),
        str(scenario.prompt_bytes),
        system.key,
        "yes" if scenario.stream else "no",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        raise SystemExit(
            f"{system.name} ({system.engine}) answered wrongly:\n{result.stderr[-800:]}"
        )
    return json.loads(result.stdout)


def _round(system: System, scenario: Scenario, samples: Samples) -> None:
    before = cpu_us((system.nginx,)) if system.nginx else 0.0
    busy = _load(system, scenario, 16, scenario.requests)
    if system.nginx:
        samples.cpu_us.append((cpu_us((system.nginx,)) - before) / busy["requests"])
    calm = _load(system, scenario, 1, max(20, scenario.requests // 10))
    for connections, seen in ((16, busy), (1, calm)):
        samples.p50_us[connections].append(seen["p50_us"])
        samples.p99_us[connections].append(seen["p99_us"])


def _measure(systems: list[System], scenario: Scenario, rounds: int) -> list[Row]:
    samples = [Samples() for _ in systems]
    for _ in range(rounds):
        for system, taken in zip(systems, samples, strict=True):
            _round(system, scenario, taken)
    direct = samples[0]
    rows = []
    for system, taken in zip(systems, samples, strict=True):
        if not system.nginx:
            continue
        raw = next(
            other
            for name, other in zip(systems, samples, strict=True)
            if name.name == "raw nginx" and name.engine == system.engine
        )
        ratios = [ours / theirs for ours, theirs in zip(taken.cpu_us, raw.cpu_us, strict=True)]
        median = statistics.median
        added = {
            f"added_{what}_us_at_{c}": median(getattr(taken, what + "_us")[c])
            - median(getattr(direct, what + "_us")[c])
            for c in (1, 16)
            for what in ("p50", "p99")
        }
        rows.append(
            Row(
                scenario=scenario.name,
                engine=system.engine,
                system=system.name,
                cpu_us=median(taken.cpu_us),
                ratio=median(ratios),
                cpu_us_per_chunk=median(taken.cpu_us) / CHUNKS if scenario.stream else None,
                nginx_rss_mb=rss_mb((system.nginx,)),
                python_rss_mb=rss_mb(system.python),
                **added,
            )
        )
    return rows


def _engines(wanted: str) -> list[Engine]:
    found = [
        engine
        for engine in find_engines(ENGINES_HOME)
        if engine.usable and engine.origin in GOALS and wanted in ("all", engine.origin)
    ]
    if wanted in ("all", "debian") and "debian" not in {engine.origin for engine in found}:
        print("Debian's engine is not in the cache (`make test` brings it); left out.")
    if not found:
        raise SystemExit("there is no engine to measure")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--engine", default="all", choices=["all", *GOALS])
    parser.add_argument("--scenario", choices=[each.name for each in SCENARIOS])
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    options = parser.parse_args()
    engines, rounds = _engines(options.engine), 3 if options.quick else 9
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ig-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        for scenario in SCENARIOS:
            if options.scenario not in (None, scenario.name):
                continue
            with ExitStack() as systems:
                upstream = systems.enter_context(
                    streaming_mock(CHUNKS) if scenario.stream else mock(engines[0], folder)
                )
                compared = [upstream]
                for engine in engines:
                    for start in (raw_nginx, gateway):
                        compared.append(systems.enter_context(start(engine, folder, upstream.port)))
                rows += _measure(compared, scenario, rounds)
            (folder / "mock").exists() and (folder / "mock").rename(
                folder / f"mock-{scenario.name}"
            )
        stack.close()
    write_results(rows, engines, rounds)
    missed = [
        row
        for row in rows
        if row.system == "gateway" and row.scenario == "200 B" and row.ratio > GOALS[row.engine]
    ]
    for row in missed:
        print(f"missed: {row.ratio:.2f} × raw nginx on {row.engine}, goal {GOALS[row.engine]}")
    if missed and options.check:
        raise SystemExit(1)


main()
