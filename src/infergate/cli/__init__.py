"""The command line: parses, calls, prints. What it calls is imported when it is called, so that
`infergate --help` answers at once."""

from __future__ import annotations

import sys

import typer

from infergate.cli import (
    admin,
    audit,
    backend,
    backup,
    bans,
    batches,
    cache,
    certificates,
    changes,
    complete,
    connect,
    deploy,
    engine,
    explain,
    imports,
    keys,
    logs,
    metrics,
    observe,
    policies,
    run,
    support,
    teams,
    usage,
    validate,
    waf,
    write,
)
from infergate.cli.options import elsewhere
from infergate.cli.sections import Sections
from infergate.cli.terminal import harmless
from infergate.cli.top import command as top
from infergate.errors import InfergateError, of_machine

app = typer.Typer(
    name="infergate",
    cls=Sections,
    help="One secure, fast, observable front door for a self-hosted AI stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.callback()(elsewhere)
for module in (
    run,
    changes,
    write,
    observe,
    explain,
    usage,
    connect,
    waf,
    deploy,
    backup,
    imports,
    validate,
    support,
    top,
    complete,
):
    module.register(app)
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(teams.app, name="teams")
app.add_typer(policies.app, name="policies")
app.add_typer(backend.app, name="backend")
app.add_typer(cache.app, name="cache")
app.add_typer(certificates.app, name="cert")
app.add_typer(engine.app, name="engine")
app.add_typer(admin.app, name="admin")
app.add_typer(bans.app, name="bans")
app.add_typer(batches.app, name="batches")
app.add_typer(logs.app, name="logs")
app.add_typer(metrics.app, name="metrics")


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 failed, 2 your input, 3 something is not well."""
    with harmless():
        _run()


def _run() -> None:
    try:
        app()
    except InfergateError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as problem:
        print(of_machine(problem), file=sys.stderr)
        sys.exit(InfergateError.exit_code)
