"""One admin API for the tests of a module."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin_api import Served, served


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # under root, nginx's workers have to pass; pytest's is closed
        with served(Path(folder)) as it:
            yield it
