"""What requests cost."""

from __future__ import annotations

from collections.abc import Callable

from infergate.config.root import ANY_MODEL, Config
from infergate.config.usage import Price
from infergate.ledger.line import Line


def prices_of(config: Config) -> Callable[[str], Price | None]:
    """A model's price, if it has one."""
    usual = config.models.get(ANY_MODEL)

    def price(model: str) -> Price | None:
        named = config.models.get(model) or usual
        return named.price if named else None

    return price


def nano_of(line: Line, price: Price | None) -> int:
    """What one request cost, in billionths of the currency's unit, as count.py sums it."""
    if price is None:
        return 0
    took_ms = line.duration_ms - line.queue_ms if line.answered else 0
    return price.nano(line.prompt, line.completion, line.cached, int(line.answered), took_ms)
