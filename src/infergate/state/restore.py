"""Keys from the snapshot that nginx loads, where the database that had them is gone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from infergate.config.load import LoadedConfig
from infergate.errors import NotThere
from infergate.paths import Home
from infergate.state.keys_file import read_keys_file
from infergate.state.policy import ANONYMOUS, Policy, policy_of
from infergate.state_file import read_state
from infergate.store.database import Database
from infergate.store.key_changes import add_keys, revoke_key
from infergate.store.keys import StoredKey, all_keys
from infergate.store.secrets import StoredSecret


@dataclass(frozen=True)
class Restored:
    """keys: how many are valid again. revoked: names of those that the database had, and that were
    valid no more when keys were published last."""

    keys: int
    revoked: tuple[str, ...]


def restore_keys(home: Home, loaded: LoadedConfig, database: Database) -> Restored:
    """Have the database know exactly the keys of the snapshot, but those that the YAML and the keys
    file declare. What the snapshot does not have (budgets, usage, who changed what) stays gone.

    Raises NotThere without a snapshot, StateError if the database cannot be used.
    """
    known = read_state(home.keys_snapshot, lambda said: _policies(said["keys"]["set"]))
    if known is None:
        raise NotThere("there is no snapshot of the keys", where=str(home.keys_snapshot))
    declared = {key.hash for key in loaded.config.auth.keys.values()}
    declared |= {key.hash for key in read_keys_file(loaded, home).keys}
    revoked = [
        key.name
        for key in all_keys(database)
        if key.revoked_at is None and not any(secret.hash in known for secret in key.secrets)
    ]
    for name in revoked:
        revoke_key(database, name)
    wanted = {hash_: policy for hash_, policy in known.items() if hash_ not in declared}
    return Restored(add_keys(database, _stored(wanted)), tuple(revoked))


def _policies(entries: dict[str, str]) -> dict[str, Policy]:
    return {hash_: policy_of(each) for hash_, each in entries.items() if hash_ != ANONYMOUS}


def _stored(policies: dict[str, Policy]) -> Iterator[StoredKey]:
    """Secrets of one name are one key's, that was given a new one lately."""
    of_name: dict[str, dict[str, Policy]] = defaultdict(dict)
    for hash_, policy in policies.items():
        of_name[policy.key][hash_] = policy
    now = int(time.time())
    for name, own in of_name.items():
        ends = [policy.expires_at for policy in own.values()]
        expires_at = None if None in ends else max(end for end in ends if end is not None)
        first = next(iter(own.values()))
        yield StoredKey(
            "",
            name,
            now,
            tuple(
                StoredSecret(h, "", now, None if p.expires_at == expires_at else p.expires_at)
                for h, p in own.items()
            ),
            allowed=first.allowed,
            team=first.tenant[2:] if first.tenant.startswith("t ") else None,
            expires_at=expires_at,
        )
