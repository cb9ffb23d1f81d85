"""The list of checks, and running them one after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.conformance.backends import Backends, running
from tests.conformance.bench import Bench, FailedError, SkippedError
from tests.conformance.options import Options
from tests.conformance.report import Outcome, Report, Result
from tests.conformance.wire_http import raise_file_limit

CHECK_S = 90
"""No check takes longer, unless it says so: a gateway that hangs must not hang the suite."""

Body = Callable[[Bench], Awaitable[str | None]]


@dataclass(frozen=True)
class Check:
    """One check. body: returns a remark, raises FailedError or SkippedError."""

    group: str
    name: str
    limit_s: float
    body: Body


CHECKS: list[Check] = []


def check(group: str, name: str, limit_s: float = CHECK_S) -> Callable[[Body], Body]:
    """Put the function into the list, in the order of the files."""

    def add(body: Body) -> Body:
        CHECKS.append(Check(group, name, limit_s, body))
        return body

    return add


def run(
    options: Options,
    *,
    backends: Backends | None = None,
    said: Callable[[Result], None] = lambda _: None,
) -> Report:
    """Drive the gateway through every check.

    backends: already running ones, from `backends.running`, for a gateway that must see them when
        it starts; otherwise they are started on the options' ports and stopped at the end.
    said: called with each result as it comes.
    """
    import tests.conformance.checks  # noqa: F401  fills CHECKS

    raise_file_limit()
    if backends is not None:
        return asyncio.run(_run_all(options, backends, said))
    with running(options.backend_ports) as started:
        return asyncio.run(_run_all(options, started, said))


async def _run_all(options: Options, backends: Backends, said: Callable[[Result], None]) -> Report:
    bench = Bench(options, backends)
    results = []
    for each in CHECKS:
        if options.only.lower() not in f"{each.group}: {each.name}".lower():
            continue
        began = time.monotonic()
        outcome, reason = await _outcome(each, bench)
        result = Result(each.group, each.name, outcome, reason, time.monotonic() - began)
        results.append(result)
        said(result)
    return Report(options.url, tuple(results))


async def _outcome(each: Check, bench: Bench) -> tuple[Outcome, str]:
    try:
        await bench.fresh()
        async with asyncio.timeout(each.limit_s):
            return "pass", await each.body(bench) or ""
    except SkippedError as skipped:
        return "skip", str(skipped)
    except FailedError as failed:
        return "fail", str(failed)
    except TimeoutError:
        return "fail", f"not over within {each.limit_s:g} s"
    except Exception as problem:  # noqa: BLE001  one odd answer must not end the whole report
        return "fail", f"{type(problem).__name__}: {problem}"
