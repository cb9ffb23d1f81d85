"""`infergate status` for people."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infergate.cli.backend_table import lines_about
from infergate.cli.certificate_rows import certificates_in_words, soonest_in_words
from infergate.cli.change_words import drain_in_words
from infergate.cli.ledger import COUNTING, ago, ledger_in_words
from infergate.cli.options import counted
from infergate.ledger.status import LedgerStatus
from infergate.nginx.drain import Drain
from infergate.nginx.zones import MB, Fill

_COLOURS = {"up": "green", "down": "red", "hung": "red"}
"""The other states are yellow."""


def print_status(document: Mapping[str, Any]) -> None:
    """A line about the gateway, a row for each backend, and what does not fit together."""
    console = Console(highlight=False)
    processes = document["processes"]
    if document["running"]:
        console.print(
            f"Infergate answers at [bold]{document['url']}[/bold] "
            f"(revision {document['revision']}, {counted(document['keys'], 'key')})"
        )
    else:
        console.print("[red]Infergate is not running.[/red] `infergate up` starts it.")
    if document["running"]:
        for line in drain_in_words(Drain(**document["drain"])):
            console.print(line)
        if not document["file_applied"]:
            name = Path(document["config"]).name
            console.print(
                f"[yellow]{name} is not what is in force; `infergate plan` shows what applying it "
                "would change.[/yellow]"
            )
    if (keys_file := document["keys_file"]) and keys_file["problem"]:
        print(f"keys_file: {keys_file['problem']}.")
    for name, what in (("supervisor", "nothing is started again"), ("control", "no probes")):
        if document["running"] and processes[name] is None:
            console.print(
                f"[yellow]The {name} process is gone ({what}); requests go on. "
                "`infergate up` brings it back.[/yellow]"
            )
    if document["running"] and document["ledger"] is not None:
        alive = processes["control"] is not None
        status = LedgerStatus(**document["ledger"])
        for line in ledger_in_words(status, time.time(), alive=alive):
            if line != COUNTING:
                console.print(f"[yellow]{line}[/yellow]")
    print_tls(console, document["certificates"])
    if document["backends"]:
        console.print(_table(document["backends"]))
    if document["services"]:
        _print_services(console, document["services"])
    for model, counts in document["cache"].items():
        console.print(f"Kept answers of {model}: {hit_ratio(counts['hits'], counts['misses'])}")
    for line in lines_about(
        {
            "backends": {backend["name"]: backend for backend in document["backends"]},
            "removed": document["removed_backends"],
            "groups": document["groups"],
        }
    ):
        console.print(line, markup=False)
    short = any(Fill(**row).is_short for row in document["memory"])
    for line in memory_in_words(document["memory"]):
        console.print(line, style="yellow" if short else None)
    for pair in document["missing_models"]:
        console.print(
            f"[yellow]{pair['backend']} does not have the model "
            f"{pair['model']!r} that the configuration expects there.[/yellow]"
        )
    for conflict in document["conflicts"]:
        console.print(conflict, style="yellow", markup=False)


def _table(backends: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("BACKEND", no_wrap=True)
    table.add_column("ENGINE", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("BUSY", justify="right", no_wrap=True)
    table.add_column("KV", justify="right", no_wrap=True)
    table.add_column("SINCE", no_wrap=True)
    table.add_column("MODELS, OR WHY NOT", overflow="fold")
    for backend in backends:
        state = backend["state"]
        table.add_row(
            backend["name"],
            backend["kind"] or "?",
            f"[{_COLOURS.get(state, 'yellow')}]{state}[/]",
            _busy(backend),
            "" if backend["kv_cache_use"] is None else f"{backend['kv_cache_use']:.0%}",
            ago(time.time() - backend["since"]),
            _models(backend) if state == "up" else backend["reason"],
        )
    return table


def _print_services(console: Console, services: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SERVICE", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("SINCE", no_wrap=True)
    table.add_column("WHERE, OR WHY NOT", overflow="fold")
    for service in services:
        state = service["state"]
        table.add_row(
            service["name"],
            f"[{_COLOURS.get(state, 'yellow')}]{state}[/]",
            ago(time.time() - service["since"]),
            service["url"] if state == "up" else service["reason"],
        )
    console.print()
    console.print(table)


def print_tls(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """When the first certificate ends, and what is wrong with any."""
    soonest = soonest_in_words(rows, time.time())
    if soonest is not None:
        console.print(soonest)
    for line in certificates_in_words(rows, time.time()):
        console.print(f"[yellow]{line}[/yellow]")


def hit_ratio(hits: int, misses: int) -> str:
    """ "75 % of 1,204 requests answered with one"."""
    share = f"{hits / (hits + misses):.0%}".replace("%", " %")
    return f"{share} of {counted(hits + misses, 'request')} answered with one"


def memory_in_words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each zone of shared memory that is nearly full; if none is, the fullest."""
    fills = [Fill(**row) for row in rows]
    fullest = max((f for f in fills if not f.evicts), key=lambda f: f.used, default=None)
    if fullest is not None and not fullest.is_short:
        return [
            f"Shared memory: {fullest.zone} is the fullest zone, {fullest.used:.0%} of "
            f"{fullest.bytes // MB} MB".replace("%", " %")
        ]
    return [
        f"Shared memory: {fill.zone} is {fill.used:.0%} full".replace("%", " %")
        + f" of {fill.bytes // MB} MB; full, it takes nothing new. The control plane makes it "
        "larger where more keys, models or backends are the reason."
        for fill in fills
        if fill.is_short
    ]


def _busy(backend: Mapping[str, Any]) -> str:
    """Our requests there; "2 of 7" where the engine says that it has more."""
    ours = backend["in_flight"]
    everybodys = (backend["running"] or 0) + (backend["waiting"] or 0)
    return f"{ours} of {everybodys}" if everybodys > ours else str(ours)


def _models(backend: Mapping[str, Any]) -> str:
    models = backend["models"]
    if not models:
        return backend["models_problem"] or "none listed"
    return ", ".join(models[:4]) + (f" and {len(models) - 4} more" if len(models) > 4 else "")
