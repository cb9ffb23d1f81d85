"""The tables: made at the first use, by one process, as the migrations say."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text

from infergate.config.load import parse_config
from infergate.errors import StateError
from infergate.paths import Home
from infergate.store import migrate, patience
from infergate.store.database import Database, database_for
from infergate.store.drained import drain, drained_backends, undrain
from infergate.store.key_changes import create_key
from infergate.store.keys import all_keys
from infergate.store.tables import metadata


def test_the_migrations_lead_to_the_tables_that_a_new_database_gets(store_url: URL) -> None:
    engine = create_engine(store_url)
    with engine.begin() as connection:
        migrate.upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert migrate.version_of(connection) == migrate.NEWEST
        migrated = _in_detail(connection)
        for table in reversed(inspect(connection).get_table_names()):
            cascade = "" if engine.name == "sqlite" else " cascade"
            connection.execute(text(f'drop table "{table}"{cascade}'))
        migrate.make_tables(connection)
        assert _in_detail(connection) == migrated
        assert migrate.version_of(connection) == migrate.NEWEST
    engine.dispose()


def _in_detail(connection: Connection) -> dict[str, set[str]]:
    """Every table: its columns, keys and indexes."""
    look = inspect(connection)
    return {
        table: {
            str(each)
            for part in (
                look.get_columns(table),
                [look.get_pk_constraint(table)],
                look.get_foreign_keys(table),
                [_readable(index) for index in look.get_indexes(table)],
                look.get_unique_constraints(table),
                [look.get_table_options(table)],
            )
            for each in part
        }
        for table in look.get_table_names()
    }


def _readable(index: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


def test_the_newest_migration_is_the_one_that_is_looked_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.NEWEST


def test_many_processes_that_start_at_once_make_the_tables_once(
    open_database: Callable[[], Database],
) -> None:
    databases = [open_database() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(all_keys, databases)) == [()] * 8


def test_a_database_of_a_newer_infergate_is_left_alone(
    open_database: Callable[[], Database],
) -> None:
    first = open_database()
    with first.write() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StateError, match="newer Infergate"):
        all_keys(open_database())


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def twice() -> None:
        with database.write() as connection:
            connection.execute(text("insert into drained values ('a', 1)"))
            connection.execute(text("insert into drained values ('a', 2)"))

    with pytest.raises(StateError):
        twice()
    assert drained_backends(database) == {}


def test_drained_backends_stay_so_until_they_are_taken_back(database: Database) -> None:
    drain(database, "a")
    drain(database, "a")
    drain(database, "b")
    undrain(database, "b")
    undrain(database, "c")
    assert set(drained_backends(database)) == {"a"}


def test_writers_at_the_same_time_wait_for_each_other(
    open_database: Callable[[], Database],
) -> None:
    databases = [open_database() for _ in range(4)]

    def create(number: int) -> None:
        create_key(databases[number % 4], f"key-{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, range(40)))
    assert len(all_keys(databases[0])) == 40


def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    config = parse_config(
        "backends: { a: http://127.0.0.1:9 }\nstore: postgresql://ig:hush@127.0.0.1:1/ig\n",
        tmp_path / "x.yaml",
        {},
    ).config
    with pytest.raises(StateError) as caught:
        all_keys(database_for(config, Home(tmp_path)))
    assert "127.0.0.1" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_connection_that_the_server_cut_is_opened_anew(postgres_url: str, tmp_path: Path) -> None:
    config = parse_config(
        f"backends: {{ a: http://127.0.0.1:9 }}\nstore: {postgres_url}\n", tmp_path / "x.yaml", {}
    ).config
    kept, other = (database_for(config, Home(tmp_path), keep=keep) for keep in (True, False))
    create_key(kept, "ci")
    with other.write() as connection:
        cut = connection.execute(
            text(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database()"
            )
        ).scalar()
    assert cut == 1
    create_key(kept, "after")
    assert [key.name for key in all_keys(kept)] == ["ci", "after"]
    kept.close()


class Relay:
    """Between us and PostgreSQL; `cut` has it pass nothing more, and close nothing."""

    def __init__(self, url: str) -> None:
        self._behind = make_url(url).query["host"]
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://postgres@127.0.0.1:{self._listener.getsockname()[1]}/"
        self.url += str(make_url(url).database)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    def _accept(self) -> None:
        while True:
            ours, _ = self._listener.accept()
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(f"{self._behind}/.s.PGSQL.5432")
            for pair in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                self._open.wait()
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)


def test_a_postgresql_that_is_cut_off_without_a_reset_is_given_up_and_found_again(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LONGEST_S", 1.0)
    relay = Relay(postgres_url)
    text = f"backends: {{ a: http://127.0.0.1:9 }}\nstore: {relay.url}\n"
    config = parse_config(text, tmp_path / "x.yaml", {}).config
    for keep in (True, False):
        database = database_for(config, Home(tmp_path), keep=keep)
        create_key(database, f"before-{keep}")
        relay.cut()
        with pytest.raises(StateError, match=r"did not answer|timeout"):
            create_key(database, "meanwhile")
        relay.mend()
        create_key(database, f"after-{keep}")
        database.close()
