"""The database: SQLite in the state folder, or PostgreSQL where several gateways share one.

Written by the command line and by the control plane at the same time. SQLite's WAL lets them; a
transaction that will write says so at its start, because one that turns from reading to writing
cannot wait for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from infergate.config.root import Config
from infergate.errors import StateError
from infergate.paths import Home
from infergate.store.lost import refuse_lost
from infergate.store.migrate import prepare

if TYPE_CHECKING:
    from infergate.store.patience import Patience

_WAIT_S = 10
"""For a lock, for a connection, and for one statement on PostgreSQL."""

_MIGRATING = 10
"""So many times as long as anything else may take the way to the newest tables."""

_WRITES = "infergate_writes"


class Database:
    """The tables of one gateway, or of several that share a PostgreSQL.

    They are made, or brought up to date, at the first use.
    """

    def __init__(
        self,
        url: URL,
        *,
        keep: bool = False,
        refuse: Callable[[str, int | None], None] = lambda _where, _newest: None,
    ) -> None:
        """keep: connections stay open between transactions, for processes that go on.
        refuse: raises StoreLost for a database that may not be used (store/lost.py).
        """
        self._refuse = refuse
        self._file: tuple[int, int] | None = None
        self.where = url.database or "" if _is_sqlite(url) else url.render_as_string()
        self._url, self._keep = url, keep
        self._engine: Engine | None = None
        self._patience: Patience | None = None

    @property
    def is_shared(self) -> bool:
        """Whether it may be that of several gateways."""
        return not _is_sqlite(self._url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises StateError if the database cannot be used."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by an exception.

        Raises StateError if the database cannot be used; nothing of it is stored then.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    def close(self) -> None:
        """Give up the connections; the next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            if self._engine is not None and self._file != self._file_now():
                self.close()  # another file lies there now
            if self._engine is None:
                self._engine = self._ready()
                self._file = self._file_now()
            options = self._engine.execution_options(**{_WRITES: writes})
            with self._bounded(), options.begin() as connection:
                yield connection
        except SQLAlchemyError as problem:
            if self._patience is not None and self._patience.gave_up:
                raise StateError(_SILENT, where=self.where, hint=_SILENT_HINT) from problem
            raise self._refusal(problem) from problem
        except OSError as problem:
            raise StateError(f"cannot be used: {problem.strerror}", where=self.where) from problem

    def _bounded(self, times: int = 1) -> AbstractContextManager[None]:
        return nullcontext() if self._patience is None else self._patience.bound(times)

    def _file_now(self) -> tuple[int, int] | None:
        """Which file SQLite's is; None of PostgreSQL, and where there is none."""
        if not _is_sqlite(self._url):
            return None
        try:
            facts = Path(self.where).stat()
        except FileNotFoundError:
            return None
        return facts.st_dev, facts.st_ino

    def _ready(self) -> Engine:
        pool: dict[str, Any] = {"poolclass": QueuePool if self._keep else NullPool}
        if _is_sqlite(self._url):
            if self._file_now() is None:
                self._refuse(self.where, None)
            engine = _sqlite(Path(self.where), self._url, pool)
        else:
            engine = create_engine(
                self._url,
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": _WAIT_S,
                    "options": f"-c statement_timeout={_WAIT_S}s -c lock_timeout={_WAIT_S}s",
                    # Of a connection that was cut off without a word: what was sent is not
                    # acknowledged, or nothing was sent and nobody is there any more.
                    "tcp_user_timeout": _WAIT_S * 1000,
                    "keepalives_idle": _WAIT_S,
                    "keepalives_interval": 5,
                    "keepalives_count": 2,
                    "application_name": "infergate",
                },
                **pool,
            )
            from infergate.store.patience import Patience  # SQLite needs no psycopg

            self._patience = Patience(engine)
        writing = engine.execution_options(**{_WRITES: True})
        with self._bounded(_MIGRATING):
            prepare(writing, self.where, lambda newest: self._refuse(self.where, newest))
        return engine

    def _refusal(self, problem: SQLAlchemyError) -> StateError:
        words = str(getattr(problem, "orig", None) or problem).strip().splitlines()[0]
        hint = next((hint for sign, hint in _HINTS if sign in words), None)
        return StateError(f"cannot be used: {words}", where=self.where, hint=hint)


_SILENT = "did not answer, and the connection was given up"
_SILENT_HINT = "Look whether PostgreSQL runs, and whether a firewall forgets connections."

_WRITABLE = "It must be a file, in a folder that is writable for the user who runs the gateway."
_DAMAGED = (
    "Put a backup in its place. Or move it away, with its -wal file: `infergate keys restore` "
    "makes the keys valid again, in a new one."
)

_HINTS = (
    ("is full", "Free some space there; what is not counted yet is counted then."),
    ("disk I/O error", "The disk is full or failing; what is not counted yet is counted later."),
    ("readonly database", _WRITABLE),
    ("unable to open database", _WRITABLE),
    ("not a database", _DAMAGED),
    ("malformed", _DAMAGED),
    ("No space left", "Free some space on the database's disk."),
    ("database is locked", "Another process holds it for long; `infergate status` shows ours."),
    ("failed: FATAL", "Check user, password and database of `store:`."),
    ("connection failed", "Check the address in `store:`, and that PostgreSQL runs there."),
)


def database_for(config: Config, home: Home, *, keep: bool = False, anew: bool = False) -> Database:
    """The database that `store:` names. Nothing is opened yet.

    anew: also where the one that was there is gone; else its first use raises StoreLost then.
    """
    url = URL.create("sqlite", database=str(home.store))
    if config.store.url is not None:
        given = make_url(config.store.url.get_secret_value())
        url = given.set(drivername="postgresql+psycopg")
    if anew:
        return Database(url, keep=keep)
    return Database(url, keep=keep, refuse=partial(refuse_lost, home))


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite(path: Path, url: URL, pool: dict[str, Any]) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
    engine = create_engine(url, connect_args={"timeout": _WAIT_S}, **pool)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        if connection.execute("pragma journal_mode").fetchone()[0] != "wal":
            connection.execute("pragma journal_mode = wal")
        connection.execute("pragma foreign_keys = on")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine
