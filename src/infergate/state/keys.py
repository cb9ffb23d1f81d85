"""All keys that are valid now, from the store, the YAML and the old keys file, by their hash."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infergate.config.auth import Auth
from infergate.config.policies import KeyTerms
from infergate.errors import KeyInputError
from infergate.state.policy import ANONYMOUS, Policy
from infergate.store.keys import StoredKey, key_hash

_LINE = re.compile(r"""\s*(?:"Bearer\s+([^"\s]+)"|'Bearer\s+([^'\s]+)')\s+(\S+)\s*;\s*(?:\#.*)?""")
_IGNORED = re.compile(r"\s*(?:#.*|default\s+\S+\s*;|map\s+.*\{|\})?\s*(?:#.*)?")


@dataclass(frozen=True)
class FileKey:
    """One line of a keys file: the key's hash and what the log calls it."""

    name: str
    hash: str


def read_keys_file(text: str, name: str) -> tuple[FileKey, ...]:
    """The keys of a file of lines `"Bearer <key>" 1;`, the format of hand-written gateways.

    A line whose value is 0 is a key that was switched off and is left out. Comments, the
    surrounding `map … { }` and its `default` are understood.
    name: the file's name, for the keys' names and for errors.
    Raises KeyInputError, naming the lines (never their content), if a line is not understood.
    """
    keys: dict[str, FileKey] = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match and match[3] == "1":
            digest = key_hash(match[1] or match[2])
            keys.setdefault(digest, FileKey(f"{name}:{number}", digest))
        elif not match and not _IGNORED.fullmatch(line):
            wrong.append(number)
    if wrong:
        lines = ", ".join(str(number) for number in wrong[:10])
        raise KeyInputError(
            f"not understood: line {lines}",
            where=name,
            hint='A key is one line of the form: "Bearer <key>" 1;',
        )
    return tuple(keys.values())


def compile_keys(
    auth: Auth, stored: Iterable[StoredKey], from_file: Iterable[FileKey]
) -> Mapping[str, str]:
    """Hash → compiled policy of every key that is valid now.

    Where one key comes from several places, the store wins over the YAML and that over the file:
    the first two can say what the key may do.
    """
    policies = {key.hash: Policy(key.name) for key in from_file}
    for name, declared in auth.keys.items():
        policies[declared.hash] = Policy(
            name, tuple(declared.models), declared.manage, terms=declared
        )
    for key in stored:
        if key.revoked_at is None:
            policies[key.hash] = Policy(key.name, key.models, key.manage, key.expires_at, key.terms)
        else:
            policies.pop(key.hash, None)
    if not auth.required:
        policies[ANONYMOUS] = Policy(ANONYMOUS, terms=KeyTerms(limits=auth.anonymous))
    return {key: policy.compiled() for key, policy in policies.items()}
