"""The table of a run: on the terminal, as Markdown and as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infergate.engine.choose import Engine
from infergate.engine.facts import dotted

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One system in one scenario.

    cpu_us: of nginx, for a request, at the same load for all. ratio: to raw nginx in the same
    round, of the same engine, or of Debian's where a system has none. full: the same with as many
    requests as 16 connections get answered; None for streams, whose pace is the mock's. added: to
    the latency of the mock itself, at 1 and 16 connections; paced: at the same load for all.
    nginx_rss_mb: of another gateway's process, if it is one.
    """

    scenario: str
    engine: str
    system: str
    cpu_us: float
    ratio: float
    full_us: float | None
    full_ratio: float | None
    cpu_us_per_chunk: float | None
    added_p50_us_at_1: float
    added_p99_us_at_1: float
    added_p50_us_at_16: float
    added_p99_us_at_16: float
    added_p99_us_paced: float
    nginx_rss_mb: float
    python_rss_mb: float


_COLUMNS = (
    "scenario",
    "engine",
    "system",
    "CPU µs",
    "× raw",
    "full",
    "× raw",
    "/s",
    "p50 +1",
    "p99 +1",
    "p50 +16",
    "p99 +16",
    "p99 paced",
    "RSS MB",
)


def _cells(row: Row) -> list[str]:
    rss = f"{row.nginx_rss_mb:.0f}" + (f"+{row.python_rss_mb:.0f}" if row.python_rss_mb else "")
    return [
        row.scenario,
        row.engine,
        row.system,
        f"{row.cpu_us:.1f}",
        f"{row.ratio:.2f}",
        f"{row.full_us:.1f}" if row.full_us is not None else "",
        f"{row.full_ratio:.2f}" if row.full_ratio is not None else "",
        f"{1e6 / row.full_us:.0f}" if row.full_us is not None else "",
        f"{row.added_p50_us_at_1:.0f}",
        f"{row.added_p99_us_at_1:.0f}",
        f"{row.added_p50_us_at_16:.0f}",
        f"{row.added_p99_us_at_16:.0f}",
        f"{row.added_p99_us_paced:.0f}",
        rss,
    ]


def machine(engines: Sequence[Engine]) -> dict[str, object]:
    """When, on what and at which commit it is measured."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "commit": commit,
        "engines": {
            engine.origin: f"nginx {dotted(engine.nginx_version)}, "
            f"njs {dotted(engine.njs_version or ())}"
            for engine in engines
        },
    }


def _footnotes(
    rows: Sequence[Row],
    rounds: int,
    beside: str,
    versions: Mapping[str, str],
    fewer: Mapping[str, int],
) -> list[str]:
    """What stands below the table, a paragraph each. beside: the engine that others compare to."""
    notes = [
        "CPU of nginx (or the other gateway) for a request, over 16 connections: at the same load "
        "for all, and (full) with as many requests as it answers, and the requests a second on one "
        "core that this makes; latency in µs added to the mock's own, at 1 and 16 connections "
        "without a pause, and over 16 at the same load for all (paced); RSS of the same + Python."
    ]
    if versions:
        named = (
            f"{name} {version}"
            + (f" ({fewer[name]} rounds)" if fewer.get(name, rounds) < rounds else "")
            for name, version in versions.items()
        )
        notes.append(f"Others, their ratio to raw nginx ({beside}): " + ", ".join(named) + ".")
    chunks = [
        f"{row.system}{' on ' if row.engine else ''}{row.engine} {row.cpu_us_per_chunk:.1f}"
        for row in rows
        if row.cpu_us_per_chunk is not None
    ]
    if chunks:
        notes.append("CPU µs for each streamed chunk: " + ", ".join(chunks) + ".")
    return notes


def write_results(
    rows: Sequence[Row],
    engines: Sequence[Engine],
    rounds: int,
    versions: Mapping[str, str],
    fewer_rounds: Mapping[str, int],
) -> None:
    """Print the table, and write latest.md, latest.json and a dated copy of each.

    versions: of the other gateways; fewer_rounds: of those that sat some out.
    """
    beside = min(engine.origin for engine in engines)  # debian, else embedded
    notes = _footnotes(rows, rounds, beside, versions, fewer_rounds)
    head = {**machine(engines), "rounds": rounds, "others": dict(versions)}
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in _COLUMNS[:3] else "right")
    for row in rows:
        table.add_row(*_cells(row))
    console = Console(highlight=False)
    console.width = max(console.width, 110)  # a pipe has 80, too few for the table
    console.print(table)
    for note in notes:
        console.print(note)
    lines = [
        f"# Benchmark of {head['date']}",
        "",
        f"{head['cpu']}, {head['cores']} cores, Linux {head['kernel']}; commit "
        f"{head['commit']}; medians of {rounds} rounds.",
        "",
        *(f"- {name}: {version}" for name, version in head["engines"].items()),  # type: ignore[attr-defined]
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|" + "---|" * len(_COLUMNS),
        *("| " + " | ".join(_cells(row)) + " |" for row in rows),
        "",
        *(line for note in notes for line in (note, "")),
        "How: docs/benchmarks.md.",
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    document = json.dumps({**head, "rows": [dataclasses.asdict(row) for row in rows]}, indent=1)
    stamp = str(head["date"]).replace(" UTC", "").replace(" ", "-").replace(":", "")
    for name in ("latest", stamp):
        (RESULTS / f"{name}.md").write_text("\n".join(lines))
        (RESULTS / f"{name}.json").write_text(document + "\n")
