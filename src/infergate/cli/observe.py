"""status, logs, doctor, version: what is there and what happens."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from infergate.cli.options import ConfigOption, JsonOption, find_config, load
from infergate.errors import NotRunning, StateError
from infergate.paths import Home, home_for

if TYPE_CHECKING:
    from infergate.config.load import LoadedConfig
    from infergate.nginx.shared_memory import LiveState


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(logs)
    app.command()(doctor)
    app.command()(version)


def _drained(loaded: LoadedConfig, home: Home, live: LiveState | None) -> Mapping[str, float]:
    """Backends that an operator drained, and since when; by nginx's word, since now, where the
    database is away."""
    from infergate.store.database import database_for
    from infergate.store.drained import drained_backends

    try:
        return drained_backends(database_for(loaded.config, home))
    except StateError:
        conditions = live.conditions if live else {}
        return {name: time.time() for name, each in conditions.items() if each == "drained"}


def status(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the processes, and every backend with its state and what it is doing."""
    from infergate.cli.banner import url_of
    from infergate.cli.status import print_status
    from infergate.control.report import read_report
    from infergate.control.seen import seen
    from infergate.ledger.status import read_status
    from infergate.nginx.shared_memory import read
    from infergate.supervise.instance import running

    loaded, home = load(config, quiet=True)
    processes = running(home)
    try:
        live = read(home.socket)
    except StateError:
        live = None
    report = read_report(home.health)
    ledger = read_status(home.ledger)
    drained = _drained(loaded, home, live) if report else {}
    document: dict[str, Any] = {
        "running": processes.nginx is not None,
        "url": url_of(loaded),
        "config": str(loaded.path),
        "home": str(home.root),
        "processes": asdict(processes),
        "revision": live.revision if live else None,
        "keys": live.keys if live else None,
        "ledger": asdict(ledger) if ledger else None,
        "backends": [
            seen(backend, live, drained)
            for backend in (report.backends if report else ())
            if backend.name in loaded.config.backends
        ],
        "cache": {
            model: {"hits": hits, "misses": misses}
            for model, (hits, misses) in (live.kept if live else {}).items()
        },
        "missing_models": [
            {"model": model, "backend": backend} for model, backend in report.missing
        ]
        if report
        else [],
    }
    if json_:
        print(json.dumps(document))
    else:
        print_status(document)
    if processes.nginx is None:
        raise typer.Exit(1)


def logs(
    config: ConfigOption = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", help="How many past ones.")] = 20,
    json_: JsonOption = False,
) -> None:
    """Show the requests, a line each."""
    home = home_for(find_config(config) or Path("infergate.yaml").absolute())
    if not home.access_log.exists():
        raise NotRunning(
            "there is no access log yet",
            where=str(home.access_log),
            hint="`infergate up` starts the gateway.",
        )
    for line in _lines(home.access_log, lines, follow=follow):
        print(line if json_ else _readable(line), flush=follow)


def _lines(path: Path, past: int, *, follow: bool) -> Iterator[str]:
    with path.open(errors="replace") as file:
        yield from (line.rstrip("\n") for line in file.readlines()[-past:] if past > 0)
        if follow:
            yield from _new_lines(file)
    while follow:  # it was rotated; the new one follows
        with contextlib.suppress(FileNotFoundError), path.open(errors="replace") as file:
            yield from _new_lines(file)
        time.sleep(0.2)


def _new_lines(file: TextIO) -> Iterator[str]:
    """The lines that come, until the file is not the log any more and gets no more of them."""
    pending, quiet = "", 0
    while quiet < 10:
        pending += file.readline()
        if pending.endswith("\n"):
            yield pending.rstrip("\n")
            pending, quiet = "", 0
        elif not pending:
            time.sleep(0.2)
            try:
                moved = not os.path.samestat(Path(file.name).stat(), os.fstat(file.fileno()))
            except FileNotFoundError:
                moved = True
            quiet = quiet + 1 if moved else 0


def _readable(line: str) -> str:
    try:
        entry = json.loads(line)
        clock = time.strftime("%H:%M:%S", time.localtime(entry["ts"]))
        who = entry["key"] or "-"
        where = f"{entry['model'] or '-'} → {entry['tried'] + entry['backend'] or '-'}"
        error = f" {entry['error']}" if entry["error"] else ""
        return (
            f"{clock} {entry['status']} {entry['request_time']:8.3f}s {who:12} "
            f"{entry['method']} {entry['uri']} {where}{error}"
        )
    except (ValueError, KeyError, TypeError):
        return line


def doctor(config: ConfigOption = None) -> None:
    """Show which nginx there is, what each offers, and why one was chosen."""
    from infergate.cli.doctor import print_doctor, print_ledger

    path = find_config(config)
    setting, home = "auto", home_for(path or Path("infergate.yaml").absolute())
    if path is not None:
        loaded, home = load(config)
        setting = loaded.config.engine
    print_doctor(setting, home)
    print_ledger(home)


def version() -> None:
    """Print Infergate's version."""
    from importlib.metadata import version as version_of

    print(f"infergate {version_of('infergate')}")
