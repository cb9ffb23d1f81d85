"""The dashboards as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tests.grafana.dashboards import ALL

FOLDER = Path(__file__).parents[2] / "src" / "infergate" / "metrics" / "dashboards"


def texts() -> dict[str, str]:
    """File → text."""
    encoder = JSONEncoder(sort_keys=True)
    boards = {f"{each.uid}.json": json.loads(encoder.encode(each.built())) for each in ALL}
    for board in boards.values():
        _as_typed(board)
    return {
        name: json.dumps(each, indent=1, sort_keys=True) + "\n" for name, each in boards.items()
    }


def _as_typed(board: dict[str, Any]) -> None:
    """Without what the builders write and Grafana's own types (@grafana/schema 13.2) do not know:
    a style, options that are null, an id of each variable, and what intervals alone have."""
    del board["style"]
    for panel in board["panels"]:
        if panel["options"] is None:
            del panel["options"]
    for variable in board["templating"]["list"]:
        for name in ("id", "auto", "auto_count", "auto_min"):
            del variable[name]
