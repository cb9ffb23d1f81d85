"""Budgets in money are in the currency that prices are in."""

from __future__ import annotations

from collections.abc import Iterable

from infergate.config.budgets import parse_budget
from infergate.config.load import LoadedConfig
from infergate.errors import KeyInputError


def check_currency(budgets: Iterable[str], loaded: LoadedConfig) -> None:
    """Raises KeyInputError for a budget in other money than the prices are in."""
    currency = loaded.config.usage.currency
    for text in budgets:
        if parse_budget(text).currency not in (None, currency):
            raise KeyInputError(
                f"{text} is in another currency than the prices",
                where="budget",
                hint=f"Prices are in {currency}: usage.currency in the configuration.",
            )
