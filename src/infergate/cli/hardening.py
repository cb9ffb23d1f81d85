"""audit: what an attacker would look at first."""

from __future__ import annotations

import json
import textwrap
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.checks import print_check
from infergate.cli.options import ConfigOption, JsonOption, counted
from infergate.cli.progress import busy
from infergate.cli.target import target

if TYPE_CHECKING:
    from infergate.admin.hardening import HardeningCheck

_WIDTH = 80


class FailOn(StrEnum):
    """The least severity that makes the exit code 1."""

    high = "high"
    medium = "medium"
    low = "low"
    never = "never"


def audit(
    context: typer.Context,
    fail_on: Annotated[
        FailOn, typer.Option(help="The least severity for which the exit code is 1.")
    ] = FailOn.high,
    all_: Annotated[bool, typer.Option("--all", help="Show what is good, too.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no backend.")] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Check how hard this gateway is to break into.

    And say what to do about it.
    """
    if context.invoked_subcommand is not None:
        return
    from infergate.admin.hardening import harden

    with busy("looking at settings, files, keys and backends"):
        found = target(config).run(harden, offline=offline)
    failed = _failed(found.checks, fail_on)
    if json_:
        print(json.dumps({"failed": failed, **found.model_dump()}))
    else:
        _print(found.checks, found.score, all_=all_)
    if failed:
        raise typer.Exit(1)


def _failed(checks: list[HardeningCheck], fail_on: FailOn) -> bool:
    from infergate.hardening.check import WEIGHTS

    if fail_on is FailOn.never:
        return False
    least = {str(severity): weight for severity, weight in WEIGHTS.items()}[fail_on.value]
    return any(each.outcome == "bad" and WEIGHTS[each.severity] >= least for each in checks)


def _print(checks: list[HardeningCheck], points: int, *, all_: bool) -> None:
    from infergate.hardening.check import WEIGHTS

    print(f"{points} of 100\n")
    for each in checks:
        if each.outcome == "good" and not all_:
            continue
        print_check(each)
    good = sum(each.outcome == "good" for each in checks)
    print(f"\n{counted(good, 'check')} found nothing wrong{'' if all_ else ' (--all shows them)'}.")
    weights = ", ".join(f"{severity} {weight}" for severity, weight in WEIGHTS.items())
    print(
        textwrap.fill(
            f"Each check counts by how bad its failure is ({weights}); 100 is all of them. What is"
            " unknown counts nothing.",
            _WIDTH,
        )
    )
