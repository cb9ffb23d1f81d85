"""`infergate status` for people."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infergate.cli.backend_table import lines_about
from infergate.cli.certificate_rows import certificates_in_words, soonest_in_words
from infergate.cli.change_words import drain_in_words
from infergate.cli.ledger import COUNTING, ago, ledger_in_words
from infergate.cli.options import counted
from infergate.cli.terminal import Cell, Styled
from infergate.engine.find import STALE_S
from infergate.ledger.status import LedgerStatus
from infergate.live.drain import Drain
from infergate.nginx.zones import MB, Fill
from infergate.supervise.tier_processes import TierProcess

_COLOURS = {"up": "green", "down": "red", "hung": "red"}
"""The other states are yellow."""
_GONE = frozenset(("down", "hung"))
_WORST_FIRST = ("down", "hung", "unknown", "slow", "draining")

_MOST = 20
"""Backends that are listed where there are many: what a terminal of 24 lines has room for."""


def print_status(document: Mapping[str, Any], *, everything: bool = False) -> None:
    """A line about the gateway, a row for each backend, and what does not fit together.

    everything: every backend with all of its models, however many there are."""
    terminal = Styled()
    _print_gateway(terminal, document)
    _print_processes(terminal, document)
    for failing in document["failing"]:
        often = f"{failing['times']} times in {ago(time.time() - failing['since'])}"
        said = f"The control plane fails at {failing['loop']} ({often}) and tries again"
        terminal.line((f"{said}: {failing['problem']}", "yellow"))
    for each in document["tier"]:
        if (ended := tier_in_words(TierProcess(**each), time.time())) is not None:
            terminal.line((ended, "yellow"))
    for each in document["endpoints"]:
        if each["problem"]:
            place = f"{each['file']}:{each['line']}" if each["line"] else each["file"]
            terminal.line((f"Endpoints {place or 'of your own'}: {each['problem']}", "yellow"))
    for file in document["set_aside"]:
        terminal.line((f"A state file was damaged and made anew; the old one is {file}.", "yellow"))
    print_tls(terminal, document["certificates"])
    if document["backends"]:
        _print_backends(terminal, document["backends"], everything=everything)
    if document["services"]:
        _print_services(terminal, document["services"])
    for model, counts in document["cache"].items():
        terminal.line(f"Kept answers of {model}: {hit_ratio(counts['hits'], counts['misses'])}")
    for model, reasons in document["uncopied"].items():
        terminal.line((uncopied_in_words(model, reasons), "yellow"))
    _print_what_does_not_fit(terminal, document)


def _print_gateway(terminal: Styled, document: Mapping[str, Any]) -> None:
    """Whether it runs, with which nginx, and with which file."""
    if document["running"]:
        terminal.line(
            "Infergate answers at ",
            (document["url"], "bold"),
            f" (revision {document['revision']}, {counted(document['keys'], 'key')})",
        )
    else:
        terminal.line(("Infergate is not running.", "red"), " `infergate up` starts it.")
    if document["engine"]:
        terminal.line(engine_in_words(document["engine"], time.time()))
    if document["running"]:
        for line in drain_in_words(Drain(**document["drain"])):
            terminal.line(line)
        if not document["file_applied"]:
            name = Path(document["config"]).name
            said = "is not what is active; `infergate plan` shows what applying it would change."
            terminal.line((f"{name} {said}", "yellow"))
    if (keys_file := document["keys_file"]) and keys_file["problem"]:
        terminal.line(f"keys_file: {keys_file['problem']}.")


def _print_processes(terminal: Styled, document: Mapping[str, Any]) -> None:
    """What is gone of a gateway that runs, and what is not counted."""
    if not document["running"]:
        return
    processes = document["processes"]
    for name, what in (("supervisor", "nothing is started again"), ("control", "no probes")):
        if processes[name] is None:
            gone = f"The {name} process is gone ({what}); requests go on."
            terminal.line((f"{gone} `infergate up` brings it back.", "yellow"))
    if document["ledger"] is not None:
        alive = processes["control"] is not None
        status = LedgerStatus(**document["ledger"])
        for line in ledger_in_words(status, time.time(), alive=alive):
            if line != COUNTING:
                terminal.line((line, "yellow"))


def _print_what_does_not_fit(terminal: Styled, document: Mapping[str, Any]) -> None:
    """Changes beside the file, memory that is full, models that are not where they should be."""
    for line in lines_about(
        {
            "backends": {backend["name"]: backend for backend in document["backends"]},
            "removed": document["removed_backends"],
            "groups": document["groups"],
        }
    ):
        terminal.line(line)
    short = any(Fill(**row).is_short for row in document["memory"])
    for line in memory_in_words(document["memory"]):
        terminal.line((line, "yellow" if short else ""))
    for pair in document["missing_models"]:
        missing = f"{pair['backend']} does not have the model {pair['model']!r}"
        terminal.line((f"{missing} that the configuration expects there.", "yellow"))
    for conflict in document["conflicts"]:
        terminal.line((conflict, "yellow"))


def engine_in_words(engine: Mapping[str, Any], now: float) -> str:
    """Which nginx runs, and how old it is, where nobody else keeps it up to date."""
    name = engine["name"].partition(" at /")[0]
    fetched = engine["fetched_at"]
    if fetched is None:
        return f"Engine {name}"
    old = now - fetched > STALE_S
    todo = "; `infergate engine upgrade` fetches what Debian has by now" if old else ""
    return f"Engine {name}, looked for {ago(now - fetched)} ago{todo}"


def tier_in_words(process: TierProcess, now: float) -> str | None:
    """A process of the API tier that is down, or was; None of one that never ended."""
    if process.since is None or not process.ended:
        return None
    how = f"ended with {process.ended}"
    often = f"started again {counted(process.restarts, 'time')}"
    lasts = ago(now - process.since)
    if process.is_down:
        return f"The API tier's process {process.name} is down since {lasts} ({how}), {often}."
    return (
        f"The API tier's process {process.name} ({process.pid}) runs since {lasts}; {often},"
        f" the last one {how}."
    )


def is_well(document: Mapping[str, Any]) -> bool:
    """Whether nothing is down: no process, backend, or service with its login. What an operator
    drained is not, nor what was not asked yet."""
    seen = [*document["backends"], *document["services"]]
    seen += [each["login"] for each in document["services"] if each["login"] is not None]
    down = any(TierProcess(**each).is_down for each in document["tier"])
    ill = down or any(each["state"] in _GONE for each in seen)
    return all(document["processes"].values()) and not ill


def _print_backends(
    terminal: Styled, backends: Sequence[Mapping[str, Any]], *, everything: bool
) -> None:
    """What is not well first; of many, no more than can be looked over."""
    ill = sorted(
        (each for each in backends if each["state"] != "up"),
        key=lambda each: _WORST_FIRST.index(each["state"]),
    )
    well = [each for each in backends if each["state"] == "up"]
    most = len(backends) if everything else _MOST
    some_ill, some_well = ill[:most], well[: max(0, most - len(ill))]
    terminal.table(
        ("BACKEND", "ENGINE", "STATE", "BUSY", "KV", "SINCE", "MODELS, OR WHY NOT"),
        [
            (
                backend["name"],
                backend["kind"] or "?",
                _coloured(backend["state"]),
                _busy(backend),
                "" if backend["kv_cache_use"] is None else f"{backend['kv_cache_use']:.0%}",
                _since(time.time() - backend["since"]),
                _models(backend) if backend["state"] == "up" else backend["reason"],
            )
            for backend in (*some_ill, *some_well)
        ],
        numbers=("BUSY", "KV"),
        long=("BACKEND",),
        cut_from=None if everything else len(some_ill),
    )
    left = Counter(each["state"] for each in (*ill[most:], *well[len(some_well) :]))
    if left:
        many = ", ".join(f"{count:,} {state}" for state, count in left.items())
        terminal.line(f"and {many}; `infergate status --all` lists them.")


def _since(seconds: float) -> str:
    """Its largest unit only: the column is needed for what is said."""
    return " ".join(ago(seconds).split()[:2])


def _print_services(terminal: Styled, services: Sequence[Mapping[str, Any]]) -> None:
    terminal.line()
    terminal.table(
        ("SERVICE", "STATE", "SINCE", "WHERE, OR WHY NOT"),
        [
            (
                name,
                _coloured(seen["state"]),
                ago(time.time() - seen["since"]),
                seen["url"] if seen["state"] == "up" else seen["reason"],
            )
            for service in services
            for name, seen in (
                (service["name"], service),
                (f"{service['name']}: login", service["login"]),
            )
            if seen is not None
        ],
    )


def _coloured(state: str) -> Cell:
    return state, _COLOURS.get(state, "yellow")


def print_tls(terminal: Styled, rows: Sequence[Mapping[str, Any]]) -> None:
    """When the first certificate ends, and what is wrong with any."""
    soonest = soonest_in_words(rows, time.time())
    if soonest is not None:
        terminal.line(soonest)
    for line in certificates_in_words(rows, time.time()):
        terminal.line((line, "yellow"))


def hit_ratio(hits: int, misses: int) -> str:
    """ "75 % of 1,204 requests answered with one"."""
    share = f"{hits / (hits + misses):.0%}".replace("%", " %")
    return f"{share} of {counted(hits + misses, 'request')} answered with one"


_UNCOPIED = {"large": "larger than 256 KiB", "upload": "no JSON", "late": "too many at once"}


def uncopied_in_words(model: str, reasons: Mapping[str, int]) -> str:
    """ "The shadow of m got no copy of 3 requests: 2 larger than 256 KiB, 1 no JSON"."""
    many = counted(sum(reasons.values()), "request")
    why = ", ".join(f"{count:,} {_UNCOPIED.get(each, each)}" for each, count in reasons.items())
    return f"The shadow of {model} got no copy of {many}: {why}"


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
