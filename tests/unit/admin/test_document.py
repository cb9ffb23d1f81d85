"""The OpenAPI document is current, and what it says is so: schemathesis finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.admin.openapi import openapi
from tests.admin_api import Served, schemathesis, served

ROOT = Path(__file__).parents[3]
MAX_TIME_S = 2
"""tests/soak has the long version."""


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(Path(tmp_path_factory.mktemp("admin")), wrong_tokens=10**9) as it:
        yield it


def test_the_document_is_current() -> None:
    written = (ROOT / "docs" / "admin-api.openapi.json").read_text()
    assert written == openapi() + "\n", (
        "python -m infergate.admin.openapi > docs/admin-api.openapi.json"
    )


def test_schemathesis_finds_nothing(patient: Served) -> None:
    schemathesis(patient, "--max-time", str(MAX_TIME_S), "--seed", "1")
