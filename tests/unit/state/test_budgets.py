"""Which budgets are used up, over which windows, and whose usage counts."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from infergate.config.budgets import parse_budget, window_of
from infergate.control.budget_shares import read_uses, write_uses
from infergate.state.budgets import Budgeted, shares, used_up
from infergate.state.policy import BudgetBlock
from infergate.store.database import Database
from infergate.store.teams import Team
from infergate.store.usage import SECONDS, Period, UsageGroup, add_usage

NOW = int(datetime.datetime(2026, 11, 21, 8, 30, tzinfo=datetime.UTC).timestamp())  # a Saturday
DAY, HOUR = 86400, 3600


def use(database: Database, key: str, at: int, tokens: int, cost: int = 0) -> None:
    periods: tuple[Period, ...] = ("m", "h", "d")
    with database.write() as connection:
        add_usage(
            connection,
            {
                UsageGroup(period, at // SECONDS[period] * SECONDS[period], key, "m", "a"): (
                    *(1, 0, tokens - 1, 1, 0, 0, 5),
                    cost,
                )
                for period in periods
            },
        )


@pytest.mark.parametrize(
    ("text", "amount", "what", "window"),
    [
        ("10M-tokens/month", 10_000_000, "tokens", "month"),
        ("1.5k-tokens/hour", 1_500, "tokens", "hour"),
        ("500-requests/day", 500, "requests", "day"),
        ("20-EUR/week", 20_000_000_000, "EUR", "week"),
        ("0.05-USD/day", 50_000_000, "USD", "day"),
    ],
)
def test_budgets_are_read(text: str, amount: int, what: str, window: str) -> None:
    budget = parse_budget(text)
    assert (budget.amount, budget.what, budget.window) == (amount, what, window)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10M",
        "10M-tokens",
        "10M-tokens/year",
        "-1-tokens/day",
        "0-tokens/day",
        "0.5-tokens/day",
        "10-eur/day",
        "1e9-tokens/day",
        "9999999999999G-tokens/day",
    ],
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_budget(text)


def test_windows_are_those_of_the_calendar_in_utc() -> None:
    def told(window: str) -> tuple[str, str]:
        began, ends = window_of(window, NOW)  # type: ignore[arg-type]
        shown = [datetime.datetime.fromtimestamp(at, datetime.UTC) for at in (began, ends)]
        return shown[0].strftime("%m-%d %H"), shown[1].strftime("%m-%d %H")

    assert told("hour") == ("11-21 08", "11-21 09")
    assert told("day") == ("11-21 00", "11-22 00")
    assert told("week") == ("11-16 00", "11-23 00")
    assert told("month") == ("11-01 00", "12-01 00")


def test_a_budget_counts_its_own_window_and_key_only(database: Database) -> None:
    use(database, "ci", NOW - 30 * DAY, 1000)  # last month
    use(database, "ci", NOW - 2 * DAY, 60)
    use(database, "other", NOW, 1000)
    use(database, "ci", NOW, 40)
    for budget, reached in {
        "100-tokens/month": True,
        "101-tokens/month": False,
        "40-tokens/hour": True,
        "41-tokens/day": False,
        "100-tokens/week": True,
        "2-requests/week": True,
        "3-requests/month": False,
    }.items():
        blocks = used_up(database, [Budgeted("ci", (budget,))], (), NOW)
        assert (blocks == {}) is not reached, budget


def test_how_far_budgets_are_used_is_told_the_furthest_first(
    database: Database, tmp_path: Path
) -> None:
    use(database, "ann", NOW - HOUR, 95)
    use(database, "bob", NOW - HOUR, 20)
    keys = [
        Budgeted("ann", ("100-tokens/day",), "research"),
        Budgeted("bob", ("100-tokens/day",), "research"),
        Budgeted("gone", ("1-tokens/day",), valid=False),
    ]
    found = shares(database, keys, [Team("research", ("1k-tokens/day",), 0)], NOW)
    write_uses(tmp_path / "budgets.json", found)
    uses = read_uses(tmp_path / "budgets.json")
    assert uses is not None
    assert uses.nearly_spent == 1
    assert [(each.key, each.team, each.ratio) for each in uses.first] == [
        ("ann", "", 0.95),
        ("bob", "", 0.2),
        ("", "research", 0.115),
    ]
    assert {each.ends for each in uses.first} == {(NOW // DAY + 1) * DAY}


def test_money_counts_to_the_smallest_part(database: Database) -> None:
    use(database, "ci", NOW, 1, cost=1_499_999_999)
    key = Budgeted("ci", ("1.5-EUR/day",))
    assert used_up(database, [key], (), NOW) == {}
    use(database, "ci", NOW, 1, cost=1)
    assert used_up(database, [key], (), NOW) == {
        "ci": BudgetBlock("1.5-EUR/day", NOW // DAY * DAY + DAY)
    }


def test_of_several_budgets_the_one_that_lasts_longest_is_told(database: Database) -> None:
    use(database, "ci", NOW, 500)
    key = Budgeted("ci", ("10-tokens/day", "20-tokens/month", "10-tokens/hour"))
    assert used_up(database, [key], (), NOW)["ci"].what == "20-tokens/month"


def test_a_new_key_does_not_pay_for_an_old_one_of_its_name(database: Database) -> None:
    use(database, "ci", NOW - 2 * DAY, 1000)
    use(database, "ci", NOW - HOUR, 7)
    made = NOW - 2 * HOUR
    assert used_up(database, [Budgeted("ci", ("8-tokens/month",), since=made)], (), NOW) == {}
    assert used_up(database, [Budgeted("ci", ("7-tokens/month",), since=made)], (), NOW) != {}


def test_a_team_pays_together_and_for_its_revoked_keys(database: Database) -> None:
    use(database, "a", NOW, 40)
    use(database, "b", NOW, 30)
    use(database, "gone", NOW, 30)
    keys = [
        Budgeted("a", team="ml"),
        Budgeted("b", team="ml"),
        Budgeted("gone", team="ml", valid=False),
        Budgeted("c", team="other"),
    ]
    for amount, reached in ((100, True), (101, False)):
        team = Team("ml", (f"{amount}-tokens/day",), 1)
        blocks = used_up(database, keys, [team], NOW)
        assert {"a", "b"} <= blocks.keys() if reached else blocks == {}
        assert "c" not in blocks
