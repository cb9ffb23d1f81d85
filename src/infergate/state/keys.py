"""All keys that are valid now, from the store, the YAML and the old keys file, by their hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infergate.config.auth import Auth
from infergate.config.policies import EVERYTHING, Grant, KeyLimits
from infergate.state.keys_file import FileKey
from infergate.state.policy import ANONYMOUS, BudgetBlock, Policy
from infergate.store.keys import StoredKey

IDENTITY_LENGTH = 16
"""Characters of a key's id or hash that tell it from every other one: 64 bits."""


@dataclass(frozen=True)
class ValidKey:
    """A key that lets requests in now, wherever it was declared.

    identity: never another key's, not even after this one is gone and another has its name.
    allowed: with what its named policy says. since: when it was made, Unix seconds; 0 is unknown.
    """

    name: str
    identity: str
    allowed: Grant = EVERYTHING
    expires_at: int | None = None
    team: str | None = None
    since: int = 0

    def policy(self, block: BudgetBlock | None) -> Policy:
        tenant = f"k {self.identity[:IDENTITY_LENGTH]}" if self.team is None else f"t {self.team}"
        held = self.team is not None or bool(self.allowed.budget)
        return Policy(self.name, self.allowed, self.expires_at, block, tenant, held)


def valid_keys(
    auth: Auth,
    stored: Iterable[StoredKey],
    policies: Mapping[str, Grant],
    from_file: Iterable[FileKey],
) -> dict[str, ValidKey]:
    """Every key by its hash.

    Where one key comes from several places, the store wins over the YAML and that over the file:
    the first two can say what the key may do.
    """
    found = {key.hash: ValidKey(key.name, key.hash) for key in from_file}
    for name, declared in auth.keys.items():
        expires_at = None if declared.expires is None else int(declared.expires.timestamp())
        found[declared.hash] = ValidKey(name, declared.hash, declared, expires_at, declared.team)
    for key in stored:
        allowed = key.allowed if key.policy is None else key.allowed.over(policies[key.policy])
        for secret in key.secrets:
            if key.revoked_at is not None:
                found.pop(secret.hash, None)
                continue
            ends = [end for end in (key.expires_at, secret.valid_until) if end is not None]
            found[secret.hash] = ValidKey(
                key.name, key.id, allowed, min(ends, default=None), key.team, key.created_at
            )
    return found


def compile_keys(
    auth: Auth, keys: Mapping[str, ValidKey], blocks: Mapping[str, BudgetBlock]
) -> Mapping[str, str]:
    """Hash → compiled policy, for njs. blocks: by the key's name."""
    compiled = {hash_: key.policy(blocks.get(key.name)).compiled() for hash_, key in keys.items()}
    if not auth.required or auth.anonymous.networks:
        limits = KeyLimits(**auth.anonymous.model_dump(exclude={"networks"}))
        grant = Grant(limits=limits, allow=auth.anonymous.networks)
        compiled[ANONYMOUS] = Policy(ANONYMOUS, grant, tenant=ANONYMOUS).compiled()
    return compiled
