"""What lets us ask of models though nobody's request is open: a token in nginx's memory
(njs/lent.js), which stands for the key in whose name that is as long as that is valid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from pathlib import Path

from sqlalchemy import select

from infergate.api.threads import to_its_end
from infergate.contract.numbers import TOKEN_MS
from infergate.contract.tier import Token
from infergate.errors import StateError
from infergate.live.shared_memory import push
from infergate.store.database import Database
from infergate.store.tables import keys
from infergate.store.tables import secrets as stored

LAST = 3
"""The class in the queue behind all those that keys may have (state/policy.py)."""

_RANDOM_BYTES = 32
_RENEWED_AFTER_S = TOKEN_MS / 1000 / 2
_ZONE = "lent"


class KeyGrant:
    """For one batch, or one response. entry: under which nginx knew the key. parent: what it asks
    for, as the log shows it. client: the address that this came from. place: its class in the queue
    instead of the key's own. socket: where nginx's memory is written (Home.socket)."""

    def __init__(
        self,
        entry: str,
        parent: str,
        client: str,
        database: Database,
        socket: Path,
        *,
        place: int | None = None,
    ) -> None:
        self._entry = entry
        self._rest: list[str | int] = [parent, client]
        if place is not None:
            self._rest.append(place)
        self._database, self._socket = database, socket
        self._token, self._since = "", 0.0
        self._making = asyncio.Lock()

    async def token(self, refused: str | None = None) -> str | None:
        """One that counts; None where the key was revoked. Raises StateError where nginx is not
        there.

        refused: the one that did not count any more: nginx may have begun anew meanwhile.
        """
        async with self._making:
            old = time.monotonic() - self._since > _RENEWED_AFTER_S
            if self._token and self._token != refused and not old:
                return self._token
            entry = await to_its_end(key_entry_now, self._database, self._entry)
            if entry is None:
                return None
            token = Token.PREFIX + secrets.token_hex(_RANDOM_BYTES)
            text = json.dumps([entry, *self._rest])  # the places of Lent
            change = {"set": {token: text}, "delete": [self._token] if self._token else []}
            await to_its_end(push, self._socket, {_ZONE: change})
            self._token, self._since = token, time.monotonic()
            return token

    async def end(self) -> None:
        """It counts no more. Where nginx is not there, it has forgotten it."""
        token, self._token = self._token, ""
        if token:
            with contextlib.suppress(StateError):
                await to_its_end(push, self._socket, {_ZONE: {"delete": [token]}})


def key_entry_now(database: Database, entry: str) -> str | None:
    """Under which entry nginx has the key that it had under this one: its secret may be another by
    now. None where it was revoked. A key of the file, which the store does not know, has one."""
    with database.read() as connection:
        key = connection.execute(select(stored.c.key).where(stored.c.hash == entry)).scalar()
        if key is None:
            return entry
        newest = (
            select(stored.c.hash)
            .join(keys, keys.c.id == stored.c.key)
            .where(keys.c.id == key, keys.c.revoked_at.is_(None))
            .order_by(stored.c.valid_until.is_not(None), stored.c.created_at.desc())
        )
        found = connection.execute(newest).scalar()
    return None if found is None else str(found)
