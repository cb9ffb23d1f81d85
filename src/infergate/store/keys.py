"""API keys: made, listed, revoked. A key's secret is never stored, only its SHA-256."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infergate.config.policies import USUAL_TERMS, KeyTerms
from infergate.errors import KeyInputError
from infergate.store.database import opened

SECRET_PREFIX = "sk-ig-"  # noqa: S105 - how a key starts, so that a leak is recognised
_SECRET_BYTES = 32
_SHOWN_CHARACTERS = len(SECRET_PREFIX) + 4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@ -]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def key_hash(secret: str) -> str:
    """SHA-256 of a key in hexadecimal: the only form in which it is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class StoredKey:
    """A key as it is kept.

    prefix: the first characters of the secret, enough to recognise it by.
    models: names it may use; ("*",) is every one.
    terms: its limits, its place in the queue, where it may come from.
    created_at, expires_at, revoked_at: seconds since the epoch.
    """

    id: str
    name: str
    hash: str
    prefix: str
    models: tuple[str, ...]
    manage: bool
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    terms: KeyTerms = USUAL_TERMS


@dataclass(frozen=True)
class NewKey:
    """A key just made, with its secret: the only time it can be seen."""

    secret: str
    stored: StoredKey


class KeyStore:
    """The keys of one gateway."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(
        self,
        name: str,
        *,
        models: Sequence[str] = ("*",),
        manage: bool = False,
        expires_at: int | None = None,
        terms: KeyTerms = USUAL_TERMS,
    ) -> NewKey:
        """A new key under a name that no valid key has.

        Raises KeyInputError for a name or model that cannot be used, StateError for the disk.
        """
        secret = SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        return NewKey(secret, self._add(name, secret, models, manage, expires_at, terms))

    def _add(
        self,
        name: str,
        secret: str,
        models: Sequence[str],
        manage: bool,
        expires_at: int | None,
        terms: KeyTerms,
    ) -> StoredKey:
        if not _NAME.fullmatch(name):
            raise KeyInputError(
                f"{name!r} is not a name for a key",
                hint="Letters, digits, spaces and '_.@-', at most 63; the first no sign.",
            )
        if not models or any(not m or len(m) > 256 or _CONTROL.search(m) for m in models):
            raise KeyInputError("a model name is empty, too long or has control characters")
        key = StoredKey(
            id="key_" + secrets.token_hex(6),
            name=name,
            hash=key_hash(secret),
            prefix=secret[:_SHOWN_CHARACTERS],
            models=tuple(models),
            manage=manage,
            created_at=int(time.time()),
            expires_at=expires_at,
            terms=terms,
        )
        with opened(self._path) as database:
            taken = database.execute(
                "select 1 from keys where name = ? and revoked_at is null", (name,)
            ).fetchone()
            if taken:
                raise KeyInputError(
                    f"there is a key named {name!r} already",
                    hint="Choose another name, or revoke that key first.",
                )
            database.execute(
                "insert into keys values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.id,
                    key.name,
                    key.hash,
                    key.prefix,
                    json.dumps(key.models),
                    key.manage,
                    key.created_at,
                    key.expires_at,
                    None,
                    key.terms.model_dump_json(exclude_defaults=True),
                ),
            )
        return key

    def list(self) -> tuple[StoredKey, ...]:
        """Every key, revoked ones too, oldest first."""
        with opened(self._path) as database:
            rows = database.execute("select * from keys order by created_at, rowid").fetchall()
        return tuple(
            StoredKey(
                **{
                    **dict(row),
                    "models": tuple(json.loads(row["models"])),
                    "manage": bool(row["manage"]),
                    "terms": KeyTerms.model_validate_json(row["terms"]),
                }
            )
            for row in rows
        )

    def revoke(self, which: str) -> StoredKey:
        """End the validity of the key with this id or name, for good.

        Raises KeyInputError if no valid key has it.
        """
        with opened(self._path) as database:
            row = database.execute(
                "select id from keys where (id = ? or name = ?) and revoked_at is null",
                (which, which),
            ).fetchone()
            if row is None:
                raise KeyInputError(
                    f"there is no valid key with the id or name {which!r}",
                    hint="`infergate keys list` shows them.",
                )
            database.execute(
                "update keys set revoked_at = ? where id = ?", (int(time.time()), row["id"])
            )
        return next(key for key in self.list() if key.id == row["id"])

    def add_hashes(self, keys: Iterable[tuple[str, str]]) -> int:
        """Keep keys known by (name, hash), as from an import; returns how many were new."""
        now = int(time.time())
        with opened(self._path) as database:
            before = database.total_changes
            database.executemany(
                "insert into keys values (?, ?, ?, '', '[\"*\"]', 0, ?, null, null, '{}')"
                " on conflict (hash) do nothing",
                [("key_" + secrets.token_hex(6), name, hash_, now) for name, hash_ in keys],
            )
            return database.total_changes - before
