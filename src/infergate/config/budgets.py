"""Budgets: how much of something a key or team may use up in an hour, a day, a week or a month.

Windows are those of the calendar in UTC, so that every node of a gateway agrees on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

Window = Literal["hour", "day", "week", "month"]

MOST_TOKENS = 2**40
"""No count of tokens of one request is larger: so far njs/usages.js believes a backend, and sums
of such numbers can be stored. Nor is a time in seconds or a duration in ms (ledger/line.py)."""

NANO = 1_000_000_000
"""Money is counted in billionths of the currency's unit, in whole numbers: a token of a model at
0.15 a million costs 150 of them, exactly."""

_BUDGET = re.compile(
    r"(?P<amount>\d{1,12}(?:\.\d{1,9})?)(?P<times>[kMG]?)-"
    r"(?P<what>tokens|requests|[A-Z]{3})/(?P<window>hour|day|week|month)"
)
_TIMES = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}


@dataclass(frozen=True)
class Budget:
    """One budget.

    text: as it was written, such as 10M-tokens/month.
    amount: tokens, requests, or NANO parts of the currency's unit.
    what: "tokens", "requests" or a currency such as EUR.
    """

    text: str
    amount: int
    what: str
    window: Window

    @property
    def currency(self) -> str | None:
        return self.what if self.what.isupper() else None


@lru_cache(maxsize=1024)
def parse_budget(text: str) -> Budget:
    """The budget in a text. Raises ValueError if it is not one."""
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a budget; write it like 10M-tokens/month, 500-requests/day or "
            "20-EUR/month (hour, day, week, month)"
        )
    amount = Decimal(match["amount"]) * _TIMES[match["times"]]
    if match["what"].isupper():
        amount *= NANO
    if amount != int(amount) or not 1 <= amount < 2**62:
        raise ValueError(f"{text!r}: the amount is not a whole number that can be counted to")
    window: Any = match["window"]
    return Budget(text, int(amount), match["what"], window)


def window_of(window: Window, now: float) -> tuple[int, int]:
    """When the window that holds `now` began and when it ends, in Unix seconds; weeks on Monday."""
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "hour":
        began = int(now) // 3600 * 3600
        return began, began + 3600
    if window == "day":
        end = day + timedelta(days=1)
    elif window == "week":
        day -= timedelta(days=day.weekday())
        end = day + timedelta(days=7)
    else:
        day = day.replace(day=1)
        end = (day + timedelta(days=32)).replace(day=1)
    return int(day.timestamp()), int(end.timestamp())


def _written(value: str) -> str:
    return parse_budget(value).text


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_BudgetText = Annotated[str, AfterValidator(_written)]
_SCHEMA = {"type": "string", "format": "budget"}
Budgets = Annotated[
    list[_BudgetText],
    BeforeValidator(_several),
    WithJsonSchema(
        {
            "anyOf": [_SCHEMA, {"type": "array", "items": _SCHEMA}],
            "description": "10M-tokens/month, 500-requests/day, 20-EUR/month; or a list of them",
        }
    ),
]
