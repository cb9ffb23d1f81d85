"""Ten minutes of schemathesis, with chance: it finds nothing in the admin API."""

from __future__ import annotations

from pathlib import Path

from tests.admin_api import schemathesis, served

SECONDS = 600


def test_schemathesis_finds_nothing_in_ten_minutes(tmp_path: Path) -> None:
    with served(tmp_path, wrong_tokens=10**9) as api:
        schemathesis(api, "--max-time", str(SECONDS), "--max-examples", "1000")
