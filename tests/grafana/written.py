"""The dashboards as files."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tests.grafana.dashboards import ALL

FOLDER = Path(__file__).parents[2] / "src" / "infergate" / "metrics" / "dashboards"


def texts() -> dict[str, str]:
    """File → text."""
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {f"{each.uid}.json": encoder.encode(each.built()) + "\n" for each in ALL}
