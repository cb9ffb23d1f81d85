"""`make bench-routing`: how long users wait for the first token, by router.

docs/routing-benchmark.md says how it is measured.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.other_installs import NotInstalled
from bench.routing.outcome import Outcome, Run
from bench.routing.publish import IN_VIRTUAL_TIME, LIVE, publish
from bench.routing.replay import DRAIN_S
from bench.routing.results import RESULTS, VIRTUAL, Results
from bench.routing.routers import ROUTERS, USUAL
from bench.routing.run import Real, measure
from bench.routing.scenarios import SCENARIOS, TWELVE, Scenario
from bench.routing.traces import UnknownTrace
from bench.routing.virtual import MODELLED, simulate
from bench.routing.workloads import CONVERSATION

START_S = 8
"""Real seconds that a router and its engines take to start and stop on two idle cores."""


def main() -> None:
    options = _parser().parse_args()
    real = Real(options.url, options.model, options.kind) if options.url else None
    scenarios = _scenarios(options)
    there = MODELLED if options.virtual else ROUTERS
    routers = _named(options.router, dict.fromkeys(there), there if options.virtual else USUAL)
    is_real_time = bool(real) or options.virtual
    runs = [
        Run(
            scenario, router, seed, 1.0 if is_real_time else min(options.scale, scenario.most_scale)
        )
        for scenario, seed, router in itertools.product(scenarios, options.seed or [1], routers)
    ]
    if options.list:
        _list(runs)
        return
    file = options.results or (VIRTUAL if options.virtual else RESULTS)
    results = Results.read(file) if options.append or options.no_run else Results.new()
    missing: dict[str, str] = {}
    for at, run in enumerate([] if options.no_run else runs, 1):
        if run.router in missing:
            continue
        try:
            outcome = simulate(run) if options.virtual else _kept_up(run, real)
        except NotInstalled as reason:
            missing[run.router] = str(reason)
            print(f"{run.router} is left out: {reason}", flush=True)
            continue
        except RuntimeError as problem:  # the others' runs are not lost for it
            print(f"{run.router} in {run.scenario.name} did not run: {problem}", flush=True)
            continue
        except UnknownTrace as problem:
            raise SystemExit(str(problem)) from None
        results = results.with_run(outcome)
        results.write(file)
        print(f"{at} of {len(runs)}  {_line(outcome)}", flush=True)
    if options.publish:
        print(f"written: {publish(results, IN_VIRTUAL_TIME if options.virtual else LIVE)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.routing", description=__doc__)
    add = parser.add_argument
    add("--scenario", action="append", help="one of --list's; more than once; else the twelve")
    add("--router", action="append", help="likewise; `all` is each policy of each")
    add("--short", action="store_true", help="half of each scenario's time")
    add("--scale", type=float, default=20.0, help="simulated seconds in a real one (20)")
    add("--seed", type=int, action="append", help="of the traffic; more than once (1)")
    add("--rate", type=float, default=1.0, help="times the traffic, or a trace's pace")
    add("--trace", type=Path, help="a file of Mooncake's, Azure's or BurstGPT's format")
    add("--engines", type=int, default=8, help="of the fleet, with --trace (8)")
    add("--url", action="append", help="of a real engine instead of the fleet; more than once")
    add("--model", default="m", help="that the real engines have")
    add("--kind", default="vllm", help="of the real engines, as in `engine:` (vllm)")
    add("--virtual", action="store_true", help="in virtual time: the policies alone, no HTTP")
    add("--results", type=Path, help=f"where runs are written ({RESULTS.name}, {VIRTUAL.name})")
    add(
        "--append",
        action="store_true",
        help="to the runs that are there, instead of beginning anew",
    )
    add("--publish", action="store_true", help="write them into docs/routing-benchmark.md")
    add("--no-run", action="store_true", help="measure nothing: publish what is there")
    add("--list", action="store_true", help="say what would run, and how long it would take")
    return parser


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    if options.trace:
        chosen = [Scenario(options.trace.name, CONVERSATION, options.engines, trace=options.trace)]
    else:
        names = _named(options.scenario, SCENARIOS, [each.name for each in TWELVE])
        chosen = [SCENARIOS[name] for name in names]
    chosen = [each.times(options.rate) for each in chosen]
    return [each.short() for each in chosen] if options.short else chosen


def _named(wanted: list[str] | None, there: dict[str, object], usual: Sequence[str]) -> list[str]:
    if wanted == ["all"]:
        return list(there)
    for name in wanted or ():
        if name not in there:
            raise SystemExit(f"there is no {name}; there are: {', '.join(there)}")
    return list(wanted or usual)


def _kept_up(run: Run, real: Real | None) -> Outcome:
    """Once more at half the pace where the replay did not keep up."""
    outcome = measure(run, real)
    if outcome.kept_up or real:
        return outcome
    print(
        f"{run.router} in {run.scenario.name}: late at a scale of {run.scale:g}, so at half of it"
    )
    return measure(replace(run, scale=run.scale / 2))


def _list(runs: Sequence[Run]) -> None:
    total = 0.0
    for run in runs:
        # What is under way at the window's end is waited for: rarely for all of the time it has.
        takes = START_S + (run.scenario.window_s + DRAIN_S / 4) / run.scale
        total += takes
        print(f"{run.scenario.name:20} {run.router:28} scale {run.scale:4g}  ~{takes:4.0f} s")
    print(f"{len(runs)} runs, about {total / 60:.0f} minutes; routers: {', '.join(ROUTERS)}")


def _line(each: Outcome) -> str:
    return (
        f"{each.scenario:20} {each.router:26} p50 {each.p50_s:6.2f}  p95 {each.p95_s:6.2f}  "
        f"p99 {each.p99_s:6.2f} s  hit {each.hit:.2f}  {each.errors} errors  lag {each.lag_s:.2f} s"
        + ("" if each.kept_up else "  DID NOT KEEP UP")
    )


main()
