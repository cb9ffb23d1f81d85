"""The OpenAPI document is current, and what it says is so: schemathesis finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infergate.admin.openapi import openapi
from tests.admin_api import Served, served

ROOT = Path(__file__).parents[3]
MAX_TIME_S = 20


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Served:
    with served(Path(tmp_path_factory.mktemp("admin")), wrong_tokens=10**9) as it:
        yield it


def test_the_document_is_current() -> None:
    written = (ROOT / "docs" / "admin-api.openapi.json").read_text()
    assert written == openapi() + "\n", (
        "python -m infergate.admin.openapi > docs/admin-api.openapi.json"
    )


def test_schemathesis_finds_nothing(patient: Served) -> None:
    schemathesis(patient, "--max-time", str(MAX_TIME_S), "--seed", "1")


def schemathesis(api: Served, *options: str) -> None:
    """Run it with all its checks. Raises AssertionError with what it found."""
    program = Path(sys.executable).with_name("schemathesis")
    authorization = f"Authorization: Bearer {api.full}"
    ran = subprocess.run(
        [
            program,
            "run",
            f"{api.url}/openapi.json",
            "-H",
            authorization,
            "--no-color",
            "--checks",
            "all",
            *options,
        ],
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.schemathesis_formats",
            "PYTHONPATH": str(ROOT),
        },
        cwd=api.gateway.home.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
