"""What the routing benchmark makes of a run, and how it is written into the page."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench.routing import publish
from bench.routing.engine import Hardware
from bench.routing.fleet import Fleet, Served
from bench.routing.outcome import Outcome, Run, geometric_mean, outcome, quantile
from bench.routing.picture import picture
from bench.routing.replay import Seen
from bench.routing.results import Results
from bench.routing.scenarios import SCENARIOS

RUN = Run(replace(SCENARIOS["conversation-2-80"], warm_s=10.0), "nginx:least_conn", 1, 10.0)


def told(seen: list[Seen], served: list[Served]) -> Outcome:
    fleet = Fleet(2, Hardware(), RUN.scale)
    fleet.served += served
    return outcome(RUN, "1.2.3", seen, fleet)


def asked(number: int, at: float, **more: object) -> Seen:
    return replace(Seen(number, at, at, first_s=at + 9.0, ended_s=at + 10.0), **more)


def had(number: int, engine: int, at: float, first: float | None, hit: int = 0) -> Served:
    return Served(engine, number, at, first, None if first is None else first + 1, 1000, hit)


def test_the_first_token_counts_from_the_arrival_at_the_engine_by_its_clock() -> None:
    found = told([asked(0, 20.0)], [had(0, 0, 20.5, 22.5)])
    assert found.p50_s == pytest.approx(2.0 + 0.5 / 10), "and what the router took is real time"


def test_who_holds_a_request_for_long_has_it_counted_in_full_and_did_not_keep_up() -> None:
    found = told([asked(0, 20.0)], [had(0, 0, 24.0, 26.0)])
    assert found.p50_s == pytest.approx(6.0)
    assert found.held == 1.0
    assert not found.kept_up


def test_a_second_try_counts_from_the_first() -> None:
    found = told([asked(0, 20.0)], [had(0, 0, 20.0, None), had(0, 1, 25.0, 27.0)])
    assert found.p50_s == pytest.approx(7.0)


def test_what_fills_the_caches_does_not_count() -> None:
    found = told([asked(0, 9.0), asked(1, 11.0)], [had(0, 0, 9.0, 99.0), had(1, 0, 11.0, 12.0)])
    assert (found.requests, found.p99_s) == (1, pytest.approx(1.0))


def test_hits_imbalance_and_errors_are_told() -> None:
    seen = [asked(0, 20.0), asked(1, 20.0), asked(2, 20.0, first_s=None, error="503 no backend")]
    found = told(seen, [had(0, 0, 20.0, 21.0, hit=500), had(1, 1, 20.0, 21.0)])
    assert found.hit == pytest.approx(0.25)
    assert found.imbalance == pytest.approx(1000 / 750)
    assert (found.errors, found.before_token) == (1, 1)
    assert found.first_error == "503 no backend"
    assert found.p99_s == pytest.approx(10.0), "it waited to its end"


@pytest.mark.parametrize(("late", "kept_up"), [(0.4, True), (0.6, False)])
def test_a_run_that_was_sent_too_late_does_not_count(late: float, kept_up: bool) -> None:
    found = told([asked(0, 20.0, sent_s=20.0 + late)], [had(0, 0, 20.7, 22.0)])
    assert found.kept_up == kept_up


def test_quantiles_and_means() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]
    assert math.isnan(quantile([], 0.5))
    assert geometric_mean([1.0, 4.0, 16.0]) == pytest.approx(4.0)


def made(scenario: str, router: str, p95_s: float, **more: object) -> Outcome:
    numbers = {"p50_s": 1.0, "p95_s": p95_s, "p99_s": 9.0, "hit": 0.5, "imbalance": 1.1}
    counts = {"requests": 100, "errors": 0, "before_token": 0, "loads": 0}
    rest = {"lag_s": 0.1, "held": 0.0, "kept_up": True, "first_error": ""}
    whole = {**numbers, **counts, **rest, **more}
    return Outcome(scenario=scenario, router=router, version="1", seed=1, scale=20.0, **whole)


RUNS = (
    made("conversation-8-60", "one", 2.0),
    made("conversation-8-60", "other", 4.0),
    made("conversation-8-80", "one", 8.0),
    made("conversation-8-80", "other", 4.0),
    made("agentic-8", "one", 1.0),
    made("agentic-8", "other", 50.0, kept_up=False),
)


def test_results_are_written_into_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    sections = "## Results\n\nOld ones.\n\n## Results in virtual time\n\nX.\n"
    page.write_text(f"# Title\n\nHow.\n\n{sections}")
    monkeypatch.setattr(publish, "PAGE", page)
    monkeypatch.setattr(publish, "PICTURE", tmp_path / "page.svg")
    publish.publish(replace(Results.new(), runs=RUNS), publish.LIVE)
    text = page.read_text()
    assert text.startswith("# Title\n\nHow.\n\n## Results\n\n")
    assert "Old ones." not in text
    assert "over 2 of the 12 scenarios" in text, "those that all kept up in"
    assert "| one | 4.00 | 1.0 × | 2.0 × | 1.0 × |" in text
    assert "| agentic-8 | other | did not keep up |" in text
    assert "polyline" in (tmp_path / "page.svg").read_text()
    assert text.endswith("\n\n## Results in virtual time\n\nX.\n"), "another section stays"
    publish.publish(replace(Results.new(), runs=RUNS), publish.IN_VIRTUAL_TIME)
    assert "X." not in page.read_text()
    assert "Linux" not in page.read_text().partition("virtual time")[2], "no machine is in it"


def test_a_run_takes_the_place_of_an_older_one_and_files_are_read_again(tmp_path: Path) -> None:
    results = replace(Results.new(), runs=RUNS).with_run(made("agentic-8", "other", 7.0))
    assert len(results.runs) == len(RUNS)
    assert results.runs[-1].p95_s == 7.0
    results.write(tmp_path / "routing.json")
    assert Results.read(tmp_path / "routing.json").runs == results.runs


def test_nothing_is_published_of_runs_that_did_not_keep_up() -> None:
    with pytest.raises(SystemExit, match="no run kept up"):
        publish.publish(replace(Results.new(), runs=RUNS[-1:]), publish.LIVE)


def test_a_picture_needs_two_loads() -> None:
    assert picture({"one": [(0.6, 2.0)]}) is None
    drawn = picture({"a<b": [(0.6, 2.0), (0.9, 30.0)]})
    assert drawn is not None
    assert "a&lt;b" in drawn
