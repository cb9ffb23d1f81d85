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
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.others import OTHERS
from bench.report import Row, write_results
from bench.systems import System, cpu_us, gateway, mock, raw_nginx, rss_mb, streaming_mock
from infergate.engine.choose import Engine, find_engines
from tests.cache import ENGINES_HOME

CHUNKS = 200
CHUNKS_PER_SECOND = 200
ENGINES = ("debian", "embedded")
GOALS = {
    ("200 B", "debian"): 2.5,
    ("200 B", "embedded"): 4.0,
    ("20 kB", "debian"): 3.0,
    ("20 kB", "embedded"): 3.0,
    ("stream", "debian"): 1.8,
    ("stream", "embedded"): 1.8,
}
"""CPU per request of the row "gateway" at the same load, at most this many times raw nginx of the
same engine."""

RATE_GOALS = {("1 MB", "debian"): 1000, ("1 MB", "embedded"): 700}
"""Requests a second on one core of the same row, at least."""

SHARE_OF_REQUESTS = {"litellm": 0.1, "portkey": 0.5}
"""Of gateways that take milliseconds for a request, so that a round ends."""

FEWEST_REQUESTS = 200
"""A share is not cut below this; a scenario that has fewer keeps its own."""

FEWER_ROUNDS = {"litellm": 3}
LOAD_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Scenario:
    """One kind of request. requests: in each round and for each system; rate: of them a second, for
    everybody the same; text: of the prompt. A streamed one has the rate of the mock's chunks."""

    name: str
    prompt_bytes: int
    requests: int
    rate: int
    text: str = "x"

    @property
    def stream(self) -> bool:
        return self.rate == 0


SCENARIOS = (
    Scenario("200 B", 120, 6000, 2000),
    Scenario("20 kB", 20_000, 2000, 1000),
    Scenario("1 MB", 1_000_000, 200, 100, text="base64"),
    Scenario("stream", 120, 96, 0),
)


@dataclass
class Samples:
    """What the rounds gave for one system; full_us: CPU with as many requests as are answered;
    paced_p99_us: latency at the load that is the same for all."""

    cpu_us: list[float] = field(default_factory=list)
    full_us: list[float] = field(default_factory=list)
    paced_p99_us: list[float] = field(default_factory=list)
    p50_us: dict[int, list[float]] = field(default_factory=lambda: {1: [], 16: []})
    p99_us: dict[int, list[float]] = field(default_factory=lambda: {1: [], 16: []})


def _load(
    system: System, scenario: Scenario, connections: int, requests: int, rate: int
) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "bench.load",
        "127.0.0.1",
        str(system.port),
        str(connections),
        str(requests),
        str(rate),
        str(scenario.prompt_bytes),
        scenario.text,
        system.key,
        "yes" if scenario.stream else "no",
        json.dumps(dict(system.headers)),
    ]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=LOAD_TIMEOUT_S, check=False
    )
    if result.returncode != 0:
        raise SystemExit(
            f"{system.name} ({system.engine}) answered wrongly:\n{result.stderr[-800:]}"
        )
    measured: dict[str, float] = json.loads(result.stdout)
    return measured


def _requests(system: System, scenario: Scenario) -> int:
    share = round(scenario.requests * SHARE_OF_REQUESTS.get(system.name, 1))
    return max(share, min(scenario.requests, FEWEST_REQUESTS))


def _cpu_of(
    system: System, scenario: Scenario, connections: int, requests: int, rate: int = 0
) -> tuple[float, dict[str, float]]:
    """CPU µs of a request, and what the load generator saw."""
    before = cpu_us((system.nginx,)) if system.nginx else 0.0
    seen = _load(system, scenario, connections, requests, rate)
    after = cpu_us((system.nginx,)) if system.nginx else 0.0
    return (after - before) / seen["requests"], seen


def _round(system: System, scenario: Scenario, samples: Samples) -> None:
    requests = _requests(system, scenario)
    seen = {}
    full, seen[16] = _cpu_of(system, scenario, 16, requests)
    # A stream takes a second by itself.
    _, seen[1] = _cpu_of(system, scenario, 1, 5 if scenario.stream else max(20, requests // 10))
    if scenario.stream:
        samples.cpu_us.append(full)  # the mock's chunks set the pace
        samples.paced_p99_us.append(seen[16]["p99_us"])
    else:
        samples.full_us.append(full)
        paced, at_pace = _cpu_of(system, scenario, 16, requests, scenario.rate)
        samples.cpu_us.append(paced)
        samples.paced_p99_us.append(at_pace["p99_us"])
    for connections, each in seen.items():
        samples.p50_us[connections].append(each["p50_us"])
        samples.p99_us[connections].append(each["p99_us"])


def _raw_of(system: System, systems: list[System]) -> int:
    """Which of them is the raw nginx to compare with: its own engine's, else Debian's if any."""
    raw = {each.engine: i for i, each in enumerate(systems) if each.name == "raw nginx"}
    return next(raw[engine] for engine in (system.engine, *ENGINES) if engine in raw)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds; of those it shared for one that sat out the later ones."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))


def _measure(systems: list[System], scenario: Scenario, rounds: int) -> list[Row]:
    samples = [Samples() for _ in systems]
    for number in range(rounds):
        for system, taken in zip(systems, samples, strict=True):
            if number < FEWER_ROUNDS.get(system.name, rounds):
                _round(system, scenario, taken)
    direct = samples[0]
    rows = []
    for system, taken in zip(systems, samples, strict=True):
        if not system.nginx:
            continue
        raw = samples[_raw_of(system, systems)]
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
                ratio=_ratio(taken.cpu_us, raw.cpu_us),
                full_us=median(taken.full_us) if taken.full_us else None,
                full_ratio=_ratio(taken.full_us, raw.full_us) if taken.full_us else None,
                cpu_us_per_chunk=median(taken.cpu_us) / CHUNKS if scenario.stream else None,
                nginx_rss_mb=rss_mb((system.nginx,)),
                python_rss_mb=rss_mb(system.python),
                added_p99_us_paced=median(taken.paced_p99_us) - median(direct.paced_p99_us),
                **added,
            )
        )
    return rows


def _engines(wanted: str) -> list[Engine]:
    found: dict[str, Engine] = {}
    for engine in find_engines(ENGINES_HOME):
        if engine.usable and engine.origin in ENGINES and wanted in ("all", engine.origin):
            found.setdefault(engine.origin, engine)  # of several from Debian, the newest
    if wanted in ("all", "debian") and "debian" not in found:
        print("Debian's engine is not in the cache (`make test` brings it); left out.")
    if not found:
        raise SystemExit("there is no engine to measure")
    return list(found.values())


def _missed(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        if row.system != "gateway":
            continue
        case = row.scenario, row.engine
        if row.ratio > GOALS.get(case, float("inf")):
            yield (
                f"missed: {row.scenario} on {row.engine}: {row.ratio:.2f} × raw, goal {GOALS[case]}"
            )
        if row.full_us is not None and 1e6 / row.full_us < RATE_GOALS.get(case, 0):
            yield (
                f"missed: {row.scenario} on {row.engine}: {1e6 / row.full_us:.0f} requests/s, "
                f"goal {RATE_GOALS[case]}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="a third of the rounds")
    parser.add_argument("--engine", default="all", choices=["all", *ENGINES])
    parser.add_argument("--scenario", choices=[each.name for each in SCENARIOS])
    others = "other gateways too: these, or all"
    parser.add_argument("--others", nargs="*", choices=list(OTHERS), metavar="NAME", help=others)
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    options = parser.parse_args()
    engines, rounds = _engines(options.engine), 3 if options.quick else 9
    rows: list[Row] = []
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="ig-") as name:
        for scenario in SCENARIOS:
            if options.scenario not in (None, scenario.name):
                continue
            folder = Path(name, scenario.name.replace(" ", "-"))
            folder.mkdir()
            for each in (folder, folder.parent):
                each.chmod(0o755)
            with ExitStack() as systems:
                upstream = systems.enter_context(
                    streaming_mock(CHUNKS, CHUNKS_PER_SECOND)
                    if scenario.stream
                    else mock(engines[0], folder)
                )
                compared = [upstream]
                for engine in engines:
                    at = engine, folder, upstream.port
                    compared.append(systems.enter_context(raw_nginx(*at)))
                    compared += systems.enter_context(gateway(*at))
                if options.others is not None:
                    for chosen in options.others or OTHERS:
                        other = systems.enter_context(OTHERS[chosen](folder, upstream.port))
                        if other is not None:
                            named = replace(other.system, headers=other.extra_headers)
                            compared.append(named)
                            versions[named.name] = other.version
                rows += _measure(compared, scenario, rounds)
    few = {name: FEWER_ROUNDS[name] for name in versions if name in FEWER_ROUNDS}
    write_results(rows, engines, rounds, versions, few)
    missed = list(_missed(rows))
    for line in missed:
        print(line)
    if missed and options.check:
        raise SystemExit(1)


main()
