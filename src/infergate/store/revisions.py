"""Which configurations were in force, since when, and who brought them there."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

from sqlalchemy import insert

from infergate.store.audit import actor, note
from infergate.store.database import Database
from infergate.store.tables import config_revisions


def note_revision(database: Database, revision: int, source: Path) -> None:
    """Write down that a rendered configuration came into force.

    Of the file only its SHA-256 is kept: it may hold secrets, and `revisions/` has what came of it.
    """
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with database.write() as connection:
        connection.execute(
            insert(config_revisions).values(
                at=int(time.time()),
                who=actor(),
                node=socket.gethostname(),
                revision=revision,
                source=str(source),
                sha256=digest,
            )
        )
        note(
            connection, "config.apply", source.name, after={"revision": revision, "sha256": digest}
        )
