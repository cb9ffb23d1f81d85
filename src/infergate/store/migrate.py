"""Bring a database to the tables this Infergate knows, one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    text,
)
from sqlalchemy.schema import CreateTable

from infergate.errors import StateError
from infergate.store.tables import metadata

NEWEST = "0008"
"""The last file of migrations/versions; Alembic, which takes long to load, is only asked where a
database has an older version."""

_LOCK = 0x696E6665
"""Any number that nobody else takes: PostgreSQL's advisory lock while the tables change."""

_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own, as it makes it."""


def prepare(engine: Engine, where: str, refuse: Callable[[int | None], None]) -> None:
    """Make the tables, or bring them up to date; nothing to do, as a rule.

    refuse: is told the number of the last change, or None where there are no tables; what it raises
        ends this, and nothing was changed.
    Raises StateError for a database that a newer Infergate wrote.
    """
    with engine.connect() as connection:
        version = version_of(connection)
        refuse(None if version is None else _newest(connection))
        if version == NEWEST:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        version = version_of(connection)  # another process may have been faster
        if version == NEWEST:
            return
        if version is not None and version > NEWEST:
            raise StateError(
                f"was written by a newer Infergate (version {version} of the tables; this one "
                f"knows {NEWEST})",
                where=where,
                hint="Use that Infergate, or another INFERGATE_HOME or `store:`.",
            )
        if version is None:
            make_tables(connection)
        else:
            upgrade(connection)


def _newest(connection: Connection) -> int:
    """The number of the last change (audit.py). Older versions of the tables have it too."""
    return int(connection.execute(text("select max(number) from audit")).scalar() or 0)


def version_of(connection: Connection) -> str | None:
    """The version of the tables; None if there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = connection.execute(text("select version_num from alembic_version")).scalar()
    return None if version is None else str(version)


def make_tables(connection: Connection) -> None:
    """All of them, where there are none; a test says that they are as `upgrade` leaves them."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(CreateTable(_VERSION))
    connection.execute(insert(_VERSION).values(version_num=NEWEST))


def upgrade(connection: Connection) -> None:
    """Migration by migration."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
