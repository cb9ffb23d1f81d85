"""What the log says is counted for Prometheus, once, and in so many series at most."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from infergate.admin.gateway import Gateway
from infergate.admin.past import first_bytes
from infergate.config.load import load_config, parse_config
from infergate.control.firewall import RuleSums
from infergate.ledger.count import count as count_text
from infergate.ledger.ledger import Ledger, node_in, node_of
from infergate.ledger.measures import Measures
from infergate.metrics import counted as of
from infergate.metrics.family import OTHER, SUM, Labels
from infergate.nginx.access_line import FIRST_CHUNK
from infergate.paths import Home
from infergate.store.database import Database
from infergate.store.metrics import forget_metrics, read_metrics
from infergate.store.tables import metrics
from infergate.waf.report import FirewallReport, Match
from tests.access_log import NO_TOKENS, attempt, line, told

CONFIG = """
backends: { a: http://127.0.0.1:9 }
models: { m: { backends: [a], price: { input: 1, output: 2 } } }
metrics: { keys: 2 }
"""

Numbers = dict[tuple[str, Labels, int], int]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.logs.mkdir()
    return home


@pytest.fixture
def count(home: Home, open_database: Callable[[], Database]) -> Callable[..., Numbers]:
    """Append lines to the log, and tell all that is counted. A new process each time."""
    config = parse_config(CONFIG, home.root / "x.yaml", {}).config

    def counted(*lines: str) -> Numbers:
        with home.access_log.open("a") as file:
            file.write("".join(lines))
        database = open_database()
        ledger = Ledger(home, database, lambda: config)
        while ledger.step().lines:
            pass
        ledger.close()
        node = node_in(database, node_of(home))
        names = [each.name for each in (*of.COUNTED, *of.OF_KEYS)]
        return {tuple(cell): value for cell, value in read_metrics(database, node, names)}

    return counted


def test_requests_by_model_backend_status_and_error(count: Callable[..., Numbers]) -> None:
    found = count(
        line(),
        line(),
        line(status=503, error="no_backend", backend="", attempts=[], **NO_TOKENS),
        line(status=401, error="invalid_api_key", **{"gen_ai.request.model": ""}, **NO_TOKENS),
    )
    name = of.REQUESTS.name
    assert found[name, ("m", "a", "2xx", ""), 0] == 2
    assert found[name, ("m", "", "5xx", "no_backend"), 0] == 1
    assert found[name, ("", "a", "4xx", "invalid_api_key"), 0] == 1
    assert found[of.TOKENS.name, ("m", "input"), 0] == 14
    assert found[of.TOKENS.name, ("m", "output"), 0] == 10
    assert found[of.TOKENS.name, ("m", "cache_read"), 0] == 4
    assert found[of.COST.name, ("m",), 0] == 14 * 1000 + 10 * 2000


def test_each_process_goes_on_with_what_the_last_one_counted(
    count: Callable[..., Numbers],
) -> None:
    for number in range(1, 4):
        found = count(line())
        assert found[of.REQUESTS.name, ("m", "a", "2xx", ""), 0] == number


def test_times_are_in_the_buckets_that_hold_them(count: Callable[..., Numbers]) -> None:
    chat = ("m", "chat")
    found = count(
        line(request_time=0.02, attempts=[attempt("a", 200, 0.001)]),
        line(request_time=0.0201, attempts=[attempt("a", 200, 11.0)], queue_ms=10),
        line(request_time=500.0, status=500, error="backend_failed"),
    )
    duration = {part: n for (name, at, part), n in found.items() if name == of.DURATION.name}
    assert duration == {1: 2, len(of.DURATIONS): 1, SUM: 20 + 20 + 500_000}
    assert found[of.FIRST_BYTE.name, chat, 0] == 1
    assert found[of.FIRST_BYTE.name, chat, len(of.FIRST)] == 1
    assert (
        sum(n for (name, _, part), n in found.items() if name == of.QUEUE.name and part >= 0) == 3
    )
    # 20 and 10 ms for five tokens each; the one that failed is none.
    assert found[of.TOKEN_TIME.name, chat, SUM] == 4000 + 2000


def test_the_first_token_is_that_of_streams(count: Callable[..., Numbers]) -> None:
    found = count(
        line(**{FIRST_CHUNK: 0.2}),
        line(**{FIRST_CHUNK: None}),
        line(),  # as it was written before there was this field
        line(status=500, error="stream_truncated", **{FIRST_CHUNK: 0.1}),
    )
    assert {part: n for (name, _, part), n in found.items() if name == of.FIRST_TOKEN.name} == {
        of.FIRST.index(0.25): 1,
        SUM: 200,
    }


def test_how_soon_answers_began_is_kept_by_hour(
    count: Callable[..., Numbers], home: Home, open_database: Callable[[], Database]
) -> None:
    hour = 1_795_000_000 // 3600 * 3600
    late = {"request_time": 9.0, "attempts": [{**attempt("a", 200, 2.0), "response_time": 3.0}]}
    count(
        *(line(ts=hour + 1, **{FIRST_CHUNK: 0.1}) for _ in range(98)),
        *(line(ts=hour + 3599, **late) for _ in range(2)),
        *(line(ts=hour + 3600, **late) for _ in range(2)),
        line(status=500, error="backend_failed", **late),
        line(backend="", attempts=[]),
    )
    file = home.root / "infergate.yaml"
    file.write_text(CONFIG)
    gateway = Gateway(load_config(file, {}), home)
    gateway.__dict__["database"] = open_database()
    by_hour = first_bytes(gateway, since=hour)
    assert [(each.begun, each.answers) for each in by_hour.items] == [(hour, 100), (hour + 3600, 2)]
    first, second = (each.first_byte_p95_s for each in by_hour.items)
    assert first == pytest.approx(0.1, rel=0.08)
    assert second == pytest.approx(8, rel=0.08), "what came before the last attempt is of it"
    (day,) = first_bytes(gateway, by="day", since=hour).items
    assert (day.begun % 86400, day.answers) == (0, 102)
    assert first_bytes(gateway, since=hour + 7200).items == []


def test_refusals_by_limits_are_told_apart(count: Callable[..., Numbers]) -> None:
    def refused(error: str, why: str = "", **more: Any) -> str:
        fields = {"backend": "", "attempts": [], **NO_TOKENS, **more}
        return line(status=429, error=error, why=why, **fields)

    over = "rate_limit_exceeded"
    found = count(
        refused(over, "over 60 requests per minute of this API key;"),
        refused(over, "over 1.5e+6 tokens per minute of this model;"),
        refused("concurrency_limit_exceeded", "over 2 requests at the same time of this gateway;"),
        refused("insufficient_quota"),
        refused("invalid_request"),
        refused("queue_full"),
        refused("backend_rate_limited", "a failed 429;", backend="a"),
    )
    assert {at: n for (name, at, _), n in found.items() if name == of.LIMITS.name} == {
        ("requests", "key"): 1,
        ("tokens", "model"): 1,
        ("concurrent", "gateway"): 1,
        ("budget", "key"): 1,
        ("address", "gateway"): 1,
        ("queue", "model"): 1,
    }


def test_attempts_retries_fallbacks_and_hedges(count: Callable[..., Numbers]) -> None:
    failed = attempt("a", 503, 0.004)
    found = count(
        line(attempts=[failed, attempt("b", 200, 0.1)], backend="b"),
        line(attempts=[failed, attempt("c", 200, 0.1)], backend="c", why="a failed 503;-> n;"),
        line(
            attempts=[attempt("b", None, None), attempt("a", 200, 0.1)],
            why="asked b too after 9 ms;",
        ),
        line(why="goes on after b;a=0;", attempts=[attempt("a", 200, 0.1)]),
    )
    attempts = {at: n for (name, at, _), n in found.items() if name == of.ATTEMPTS.name}
    assert attempts == {
        ("a", "5xx"): 2,
        ("a", "2xx"): 2,
        ("b", "2xx"): 1,
        ("b", "none"): 1,
        ("c", "2xx"): 1,
    }
    kinds = {at: n for (name, at, _), n in found.items() if name == of.REROUTES.name}
    once = {("m", kind): 1 for kind in ("fallback", "hedge", "continue")}
    assert kinds == {("m", "retry"): 2, **once}


def test_kept_answers_services_and_answers_that_broke_off(count: Callable[..., Numbers]) -> None:
    found = count(
        line(cache="HIT", backend="", attempts=[], **NO_TOKENS),
        line(cache="MISS", completed=False),
        line(service="chroma", **{"gen_ai.request.model": ""}, backend="", **NO_TOKENS),
    )
    assert found[of.CACHE.name, ("m", "hit"), 0] == 1
    assert found[of.CACHE.name, ("m", "miss"), 0] == 1
    assert found[of.INCOMPLETE.name, ("m",), 0] == 1
    assert found[of.SERVICES.name, ("chroma", "2xx"), 0] == 1
    assert found[of.REQUESTS.name, ("m", "(cache)", "2xx", ""), 0] == 1


def test_keys_are_counted_where_that_is_asked_for(count: Callable[..., Numbers]) -> None:
    found = count(line(key="x"), line(key="x", status=500, **NO_TOKENS), line(key=""))
    assert found[of.KEY_REQUESTS.name, ("x",), 0] == 2
    assert found[of.KEY_ERRORS.name, ("x",), 0] == 1
    assert found[of.KEY_TOKENS.name, ("x", "input"), 0] == 7
    assert {at for name, at, _ in found if name == of.KEY_REQUESTS.name} == {("x",)}
    unasked = count_text(line(key="x"), lambda _: None, Measures(keys=False)).cells
    assert of.KEY_REQUESTS.name not in {cell.family for cell in unasked}


def test_what_comes_when_there_are_enough_series_is_counted_with_all_other() -> None:
    first = Measures()
    kept = [first.of(of.QUEUE, (f"m{number}",)) for number in range(of.QUEUE.at_most)]
    assert kept[-1] == (f"m{of.QUEUE.at_most - 1}",)
    assert first.of(of.QUEUE, ("late",)) == (OTHER,)
    assert first.of(of.QUEUE, ("m0",)) == ("m0",), "who has one keeps it"
    assert first.of(of.COST, ("late",)) == ("late",), "another metric has its own room"
    again = Measures([(of.QUEUE.name, each) for each in kept])
    assert again.of(of.QUEUE, ("late",)) == (OTHER,), "after a restart too"
    for number in range(of.REQUESTS.at_most):
        first.of(of.REQUESTS, (f"m{number}", "a", "2xx", ""))
    assert first.of(of.REQUESTS, ("n", "a", "5xx", "no_backend")) == (OTHER, OTHER, "5xx", OTHER)


def test_what_is_gone_for_long_makes_room(
    count: Callable[..., Numbers], open_database: Callable[[], Database]
) -> None:
    count(line(), line(**{"gen_ai.request.model": "n"}, request_time=0.01))
    database = open_database()
    with database.write() as connection:
        # A bucket that has not grown is part of a histogram that has.
        n_grew = metrics.c.labels.startswith('["n"') & (metrics.c.part <= 0)
        connection.execute(update(metrics).where(~n_grew).values(updated_at=1000))
    with database.write() as connection:
        assert forget_metrics(connection, 2000) > 0
    found = count(line(**{"gen_ai.request.model": "n"}, **told(1, 1, 0)))
    assert {at[0] for _, at, _ in found if at and at[0] in ("m", "n")} == {"n"}
    assert found[of.DURATION.name, ("n", "chat"), SUM] == 10 + 250


def test_matches_of_the_firewall_are_counted_by_rule_once_a_request(
    home: Home, open_database: Callable[[], Database]
) -> None:
    rule, odd = Match("942100", "SQL", "ARGS:q"), Match('x"}', "", "")
    report = FirewallReport(1.0, "1.0-1-1", "192.0.2.7", "GET", "/a", True, (rule, rule, odd))
    database = open_database()
    RuleSums(home, database).add([report])
    # Another process goes on with what is there, and more rules than there are series fold.
    many = tuple(Match(str(number), "", "") for number in range(300))
    RuleSums(home, database).add([dataclasses.replace(report, rules=many), report])
    found = read_metrics(database, node_in(database, node_of(home)), [of.WAF.name])
    counts = {cell.labels: value for cell, value in found}
    assert counts["942100", "true"] == 2
    assert len(counts) <= of.WAF.at_most
    assert sum(counts.values()) == 4 + 300
