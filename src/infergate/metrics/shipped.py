"""What Infergate brings for Prometheus and Grafana."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources


def rules() -> str:
    """Recording rules and alerts, as Prometheus reads them."""
    return (resources.files("infergate.metrics") / "rules.yml").read_text(encoding="utf-8")


def dashboards() -> Iterator[tuple[str, str]]:
    """File name and JSON of each dashboard (tests/grafana writes them)."""
    folder = resources.files("infergate.metrics") / "dashboards"
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        yield each.name, each.read_text(encoding="utf-8")
