"""A backup comes back: planned, then done as one exchange, with nothing running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from infergate.backup.contents import STORE
from infergate.backup.plan import RestorePlan, RestoreStep, plan
from infergate.backup.staged import Staged, staged
from infergate.backup.swap import Swap, copy_beside, exchange, is_unfinished
from infergate.errors import AlreadyRunning, StateError
from infergate.files import name_aside
from infergate.paths import Home
from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.revisions import move_revisions
from infergate.supervise.instance import refuse_second, running, sole_supervisor


@contextmanager
def opened(
    file: Path, config: Path | None, home: Home, *, outside: bool, ask: Callable[[], str]
) -> Iterator[tuple[RestorePlan, Callable[[], None]]]:
    """What a backup would do here, and how it is done.

    config: where its YAML comes to; infergate.yaml in this folder, if not given.
    outside: files that lie elsewhere are brought back too. ask: for the passphrase.
    Nothing but a folder of its own is touched until that is called. Raises AlreadyRunning if a
    gateway runs from this state folder, BackupRefused for a file that may not be brought back.
    """
    refuse_second(home)
    _refuse_parts(home)
    with staged(file, home, ask) as found:
        made = plan(found, config, home, outside=outside)
        yield made, lambda: _bring_back(found, made, home)


def _refuse_parts(home: Home) -> None:
    """nginx goes on without its supervisor, and so may the control plane."""
    now = running(home)
    pid = now.nginx or now.control
    if pid is not None:
        raise AlreadyRunning(
            f"part of a gateway runs still (process {pid})",
            where=str(home.root),
            hint="`infergate down` stops it.",
        )


def _bring_back(found: Staged, made: RestorePlan, home: Home) -> None:
    home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    with sole_supervisor(home):  # nobody starts one meanwhile
        _refuse_parts(home)
        if found.manifest.tables is not None:
            _say_in_database(found, made)
        beside: list[Path] = []
        try:
            exchange(home, [_exchange(step, home, beside) for step in made.due])
        except OSError as problem:
            where = str(problem.filename or home.root)
            raise StateError(f"cannot be written: {problem.strerror}", where=where) from problem
        finally:
            if not is_unfinished(home):
                for path in beside:
                    path.unlink(missing_ok=True)


def _exchange(step: RestoreStep, home: Home, beside: list[Path]) -> Swap:
    fresh = step.fresh
    if fresh is not None and not step.path.is_relative_to(home.root):
        fresh = copy_beside(fresh, step.path)
        beside.append(fresh)
    aside = step.aside or name_aside(step.path)
    return Swap(None if fresh is None else str(fresh), str(step.path), str(aside))


def _say_in_database(found: Staged, made: RestorePlan) -> None:
    """While it is not in its place yet; its tables are brought up to date by that."""
    database = Database(URL.create("sqlite", database=str(found.path(STORE))))
    manifest = found.manifest
    with database.write() as connection:
        note(connection, "state.restore", made.config.name)
        move_revisions(
            connection,
            from_node=manifest.host,
            from_source=manifest.config_path,
            source=str(made.config),
        )
    database.close()
