"""A ledger that counts the access log of a gateway that never ran."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.ledger.ledger import Ledger
from infergate.paths import Home
from infergate.store.database import Database
from tests.access_log import in_logs, in_store

CONFIG = """
backends: { a: http://127.0.0.1:9 }
models:
  m: { backends: [a], price: { input: 0.15, output: 0.6, cached_input: 0.015 } }
  timed: { backends: [a], price: { per_request: 0.01, per_second: 0.001 } }
  free: [a]
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.logs.mkdir()
    home.run.mkdir()
    return home


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse_config(CONFIG, tmp_path / "x.yaml", {}).config


@pytest.fixture
def ledger(home: Home, config: Config, database: Database) -> Iterator[Ledger]:
    it = Ledger(home, database, lambda: config)
    yield it
    it.close()


def append(home: Home, *lines: str) -> None:
    with home.access_log.open("a") as file:
        file.write("".join(lines))


def exact(home: Home, database: Database) -> bool:
    return all(in_store(database, period) == in_logs(home.access_log) for period in ("m", "h", "d"))
