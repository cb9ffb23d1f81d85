"""`infergate doctor`: the engines of this machine, and whether requests are counted."""

from __future__ import annotations

import time
from dataclasses import asdict

from infergate.cli.backend_table import lines_about
from infergate.cli.certificate_rows import print_certificates
from infergate.cli.ledger import ledger_in_words
from infergate.cli.status import memory_in_words
from infergate.config.load import LoadedConfig
from infergate.control.backend_list import backend_list
from infergate.control.report import read_report
from infergate.errors import EngineError, StateError
from infergate.ledger.status import read_status
from infergate.nginx.embedded_limits import FOR_TRYING
from infergate.nginx.engine import choose_engine, find_engines
from infergate.nginx.engine_facts import Engine, dotted
from infergate.nginx.shared_memory import read
from infergate.nginx.zones import MB
from infergate.paths import Home
from infergate.supervise.instance import running

_TELLING = ("http_ssl", "http_v2", "http_v3", "stub_status", "brotli", "modsecurity")


def print_doctor(setting: str, home: Home) -> None:
    """Print every engine, what it offers or why it cannot be used, and the choice.

    Raises EngineError if none can be used, after printing what was found.
    """
    print("Engines on this machine:\n")
    engines = find_engines(home.root)
    for engine in engines:
        _print_engine(engine)
    if not engines:
        print("  none\n")
    try:
        choice = choose_engine(setting, home.root)
    except EngineError as problem:
        what = problem.what.splitlines()[0]  # the rest was just printed
        raise EngineError(what, where=problem.where, hint=problem.hint) from None
    print(f"Chosen for `engine: {setting}`: {choice.engine}")
    print(f"  {choice.reason}")
    if choice.engine.origin == "embedded":
        print(f"  It is {FOR_TRYING}.")
        print("  For production use your distribution's, or `infergate engine install`.")
    print(f"\nState folder: {home.root}")


def print_ledger(home: Home) -> None:
    """Whether requests are counted, and if not, why; nothing where the gateway never ran."""
    status = read_status(home.ledger)
    if status is None:
        return
    for line in ledger_in_words(status, time.time(), alive=running(home).control is not None):
        print(f"Ledger: {line}")


def print_memory(home: Home) -> None:
    """How full each zone of nginx's shared memory is; nothing where nginx does not run."""
    try:
        fills = read(home.socket).zones
    except StateError:
        return
    used = (f"{fill.zone} {fill.used:.0%} of {fill.bytes // MB} MB" for fill in fills)
    print(f"Shared memory: {', '.join(used)}".replace("%", " %"))
    if any(fill.is_short for fill in fills):
        print("\n".join(memory_in_words([asdict(fill) for fill in fills])))


def print_backends(declared: LoadedConfig, home: Home) -> None:
    """What does not fit together between the configuration, what backends have, and what was
    changed by hand; nothing where all is well."""
    report = read_report(home.health)
    lines = [*lines_about(backend_list(declared, home)), *(report.conflicts if report else ())]
    for line in lines:
        print(f"Backends: {line}")


def print_tls(loaded: LoadedConfig, home: Home) -> None:
    """The certificates, and what is wrong with them."""
    from infergate.certificates.overview import ca_sha256, overview
    from infergate.certificates.served import served_certificates

    print()
    rows = overview(loaded, home, served_certificates(loaded, home), time.time())
    print_certificates(rows, ca_sha256(home))


def _print_engine(engine: Engine) -> None:
    njs = f"njs {dotted(engine.njs_version)}" if engine.njs_version else "no njs"
    print(f"  {engine.origin:9} nginx {dotted(engine.nginx_version)}, {njs}")
    print(f"            {' '.join(engine.argv[-1:])}")
    if engine.usable:
        offers = [name.removeprefix("http_") for name in _TELLING if name in engine.modules]
        print(f"            offers {', '.join(offers)}")
    for problem in engine.problems:
        print(f"            cannot be used: {problem}")
    print()
