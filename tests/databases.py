"""The fixture `database`: every test that takes it runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from infergate.config.load import parse_config
from infergate.paths import Home
from infergate.store.database import Database, database_for
from tests.postgres import postgres, programs


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed; `make test` brings it where apt may")
    with postgres() as url:
        yield url


@pytest.fixture
def postgres_url(server: str) -> Iterator[str]:
    """A database of its own for one test."""
    name = "test_" + secrets.token_hex(6)
    engine = create_engine(
        make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    yield server.replace("/postgres?", f"/{name}?")
    with engine.connect() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_line(request: pytest.FixtureRequest) -> str:
    """The `store:` line of a configuration."""
    if request.param == "sqlite":
        return ""
    return f"store: {request.getfixturevalue('postgres_url')}\n"


@pytest.fixture
def store_url(store_line: str, tmp_path: Path) -> URL:
    """The test's database, for SQLAlchemy itself."""
    if not store_line:
        return URL.create("sqlite", database=str(tmp_path / "store.db"))
    return make_url(store_line.removeprefix("store:").strip()).set(drivername="postgresql+psycopg")


@pytest.fixture
def open_database(store_line: str, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Opens the test's database; each call is as another process would have it."""
    opened: list[Database] = []

    def again() -> Database:
        config = parse_config(
            f"backends: {{ a: http://127.0.0.1:9 }}\n{store_line}", tmp_path / "x.yaml", {}
        ).config
        opened.append(database_for(config, Home(tmp_path)))
        return opened[-1]

    yield again
    for each in opened:
        each.close()


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    return open_database()
