"""The ledger is killed while it counts; tests/soak/test_ledger_crashes.py has the long version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ledger_campaign


def campaign(folder: Path, kills: int, seed: int, store_line: str) -> str:
    """What the campaign said; AssertionError if a count was wrong."""
    store = store_line.removeprefix("store:").strip()
    command = [*("-m", "tests.ledger_campaign", str(folder), str(kills), str(seed)), store]
    ran = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(ledger_campaign.__file__).parent.parent,
        timeout=1800,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize(
    "store_line", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
def test_after_ten_kills_every_line_is_counted_once(tmp_path: Path, store_line: str) -> None:
    campaign(tmp_path, 10, 7, store_line)
