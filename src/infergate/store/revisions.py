"""Which configurations were active, since when, and who activated them."""

from __future__ import annotations

import hashlib
import socket
import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from infergate.config.load import LoadedConfig
from infergate.store.audit import actor, note
from infergate.store.database import Database
from infergate.store.tables import config_revisions


@dataclass(frozen=True)
class AppliedRevision:
    """A revision took effect.

    number: counts up. at: Unix seconds. who: user@host. node: the gateway's machine.
    revision: its folder below revisions/ there. source: the YAML file. sha256: of its text.
    """

    number: int
    at: int
    who: str
    node: str
    revision: int
    source: str
    sha256: str


def note_revision(
    database: Database,
    revision: int,
    loaded: LoadedConfig,
    *,
    why: str | None = None,
    back: bool = False,
) -> None:
    """Write down that a rendered configuration took effect.

    Of the file only its SHA-256 is kept here: it may hold secrets. The revision's folder has it.
    why: where nobody has changed the file. back: it is one that was active before.
    """
    digest = hashlib.sha256(loaded.text.encode()).hexdigest()
    with database.write() as connection:
        connection.execute(
            insert(config_revisions).values(
                at=int(time.time()),
                who=actor(),
                node=socket.gethostname(),
                revision=revision,
                source=str(loaded.path),
                sha256=digest,
            )
        )
        note(
            connection,
            "config.rollback" if back else "config.apply",
            loaded.path.name,
            after={"revision": revision, "sha256": digest, **({"why": why} if why else {})},
        )


def applied_revisions(database: Database, *, last: int) -> tuple[AppliedRevision, ...]:
    """The last revisions that took effect, oldest first, of every gateway that shares the
    database."""
    query = select(config_revisions).order_by(config_revisions.c.number.desc()).limit(last)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return tuple(AppliedRevision(**row._mapping) for row in reversed(rows))


def move_revisions(
    connection: Connection, *, from_node: str, from_source: str, source: str
) -> None:
    """What took effect elsewhere took effect here: the gateway has moved."""
    at = (config_revisions.c.node == from_node) & (config_revisions.c.source == from_source)
    moved = update(config_revisions).where(at)
    connection.execute(moved.values(node=socket.gethostname(), source=source))
