"""Writes results into docs/routing-benchmark.md, and the picture beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from bench.routing.outcome import Outcome, geometric_mean
from bench.routing.picture import picture
from bench.routing.results import Results, by_scenario
from bench.routing.scenarios import SCENARIOS, TWELVE

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURE = DOCS / "routing-benchmark.md", DOCS / "routing-benchmark.svg"
LIVE, IN_VIRTUAL_TIME = "## Results\n", "## Results in virtual time\n"
"""Sections of the page; what stands in one is written by `--publish`."""

ByScenario = Mapping[str, Mapping[str, Outcome]]


def publish(results: Results, section: str) -> Path:
    """The page. Raises SystemExit where there is nothing to publish."""
    found = by_scenario(results.runs)
    if not any(each.kept_up for routers in found.values() for each in routers.values()):
        raise SystemExit("no run kept up, so there is nothing to publish")
    lines = _made_by(results)
    if section == LIVE:
        lines = [*_machine(results, found), *lines]
        drawn = picture(_over_load(found))
        if drawn is not None:
            PICTURE.write_text(drawn)
            lines += [f"![p95 of the time to first token over load]({PICTURE.name})", ""]
    lines += _means(found) + _table(found)
    head, _, rest = PAGE.read_text().partition(section)
    _, mark, after = rest.partition("\n## ")
    PAGE.write_text(f"{head}{section}\n" + "\n".join(lines).rstrip() + f"\n{mark}{after}")
    return PAGE


def _machine(results: Results, found: ByScenario) -> list[str]:
    machine = results.machine
    versions = {
        router.partition(":")[0]: each.version
        for routers in found.values()
        for router, each in routers.items()
    }
    seeds = sorted({run.seed for run in results.runs})
    scales = sorted({run.scale for run in results.runs})
    engines = "; ".join(str(each) for each in machine["engines"].values())
    measured_on = (
        f"{machine['date']}, commit {machine['commit']}",
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}",
        f"Infergate on {engines}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"seeds {', '.join(map(str, seeds))}",
        f"scale {', '.join(f'{each:g}' for each in scales)}",
    )
    return ["; ".join(measured_on) + ".", ""]


def _made_by(results: Results) -> list[str]:
    commands = ", ".join(f"`{command}`" for command in results.commands)
    return [f"Made by {commands}.", ""]


def compared(found: ByScenario) -> tuple[list[str], list[str]]:
    """Of the twelve scenarios those that all routers kept up in, and the routers."""
    routers = list(dict.fromkeys(router for each in found.values() for router in each))
    names = [each.name for each in TWELVE if each.name in found]
    whole = [
        name
        for name in names
        if all(router in found[name] and found[name][router].kept_up for router in routers)
    ]
    return whole, routers


def _means(found: ByScenario) -> list[str]:
    scenarios, routers = compared(found)
    if not scenarios:
        return ["There is no scenario that all routers have a run in that counts.", ""]
    quantiles = ("p50_s", "p95_s", "p99_s")
    best = {
        (name, which): min(getattr(found[name][router], which) for router in routers)
        for name in scenarios
        for which in quantiles
    }
    rows = []
    for router in routers:
        p95 = [found[name][router].p95_s for name in scenarios]
        worst = [
            max(
                getattr(found[name][router], each) / max(0.001, best[name, each])
                for name in scenarios
            )
            for each in quantiles
        ]
        rows.append((geometric_mean(p95), router, worst))
    return [
        f"p95 of the time to first token: its geometric mean over {len(scenarios)} of the "
        f"{len(TWELVE)} scenarios ({', '.join(scenarios)}); and how many times the best router's "
        "each quantile is in the scenario where it is worst.",
        "",
        "| router | geometric mean of p95, s | p50 at worst | p95 at worst | p99 at worst |",
        "|---|---|---|---|---|",
        *(
            f"| {router} | {mean:.2f} | {' | '.join(f'{each:.1f} ×' for each in worst)} |"
            for mean, router, worst in sorted(rows)
        ),
        "",
    ]


def _table(found: ByScenario) -> list[str]:
    lines = [
        "| scenario | router | p50 | p95 | p99 | hit | imbalance | errors | requests | lag |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for scenario, routers in found.items():
        for router, each in routers.items():
            times = [f"{value:.2f}" for value in (each.p50_s, each.p95_s, each.p99_s)]
            if not each.kept_up:
                times = ["did not keep up", "", ""]
            cells = (
                *(scenario, router, *times, f"{each.hit:.2f}"),
                "" if math.isnan(each.imbalance) else f"{each.imbalance:.2f}",
                _errors(each) + (f", {each.loads} loads" if each.loads else ""),
                *(str(each.requests), f"{each.lag_s:.2f}"),
            )
            lines.append("| " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        "Times in simulated seconds; of the errors, in brackets those of requests "
        "that had no token yet.",
        "",
    ]


def _errors(each: Outcome) -> str:
    return f"{each.errors} ({each.before_token})" if each.errors else "0"


def _over_load(found: ByScenario) -> dict[str, list[tuple[float, float]]]:
    """Router → load and p95 of the conversations on eight engines, as far as runs count."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, routers in found.items():
        scenario = SCENARIOS.get(name)
        if scenario is None or not name.startswith("conversation-8-"):
            continue
        for router, each in routers.items():
            if each.kept_up:
                lines.setdefault(router, []).append((scenario.load, each.p95_s))
    return {router: sorted(points) for router, points in lines.items()}
