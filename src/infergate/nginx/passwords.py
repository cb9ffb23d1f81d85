"""The hashed passwords of services with `auth: basic`, where nginx's workers read them."""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.config.services import Service
from infergate.config.types import is_password_hash
from infergate.errors import UserError
from infergate.files import write_atomically
from infergate.paths import Home


def passwords_of(loaded: LoadedConfig) -> Mapping[str, str]:
    """The htpasswd text of each service that wants passwords.

    Raises UserError, naming the line and never its content, for a users_file with anything else
    than names with hashes in it that both engines check.
    """
    return {
        name: _text(service, loaded)
        for name, service in loaded.config.services.items()
        if service.auth == "basic"
    }


def _text(service: Service, loaded: LoadedConfig) -> str:
    lines = [f"{user}:{hash_.get_secret_value()}" for user, hash_ in service.users.items()]
    if service.users_file is not None:
        lines += _lines_of(loaded.resolve(service.users_file))
    return "".join(f"{line}\n" for line in lines)


def _lines_of(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"cannot be read: {problem}", where=str(path)) from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, hash_ = line.strip().partition(":")
        if not user or not is_password_hash(hash_):
            raise UserError(
                "is not a name and a password hashed by SHA-crypt, bcrypt (cost 4 to 12) or apr1",
                where=f"{path}:{number}",
                hint="`printf 'alice:%s\\n' \"$(openssl passwd -6)\"` makes such a line.",
            )
        found.append(f"{user}:{hash_}")
    return found


def mark_of(text: str) -> str:
    """What tells these passwords from others, in the name of their file."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def longest_of(text: str) -> int | None:
    """The bytes of a password that all these hashes look at; None: all. bcrypt looks at 72."""
    return 72 if ":$2" in text else None


def publish_passwords(home: Home, texts: Mapping[str, str], user: str | None) -> None:
    """Write them, readable by nginx's workers only (0600).

    user: who the workers run as, when that is not us.
    """
    if not texts:
        return
    folder = home.passwords_folder
    folder.mkdir(exist_ok=True, mode=0o700)
    account = pwd.getpwnam(user) if user is not None else None
    if account is not None:
        os.chown(folder, 0, account.pw_gid)
        folder.chmod(0o710)
    for service, text in texts.items():
        path = home.passwords(service, mark_of(text))
        write_atomically(path, text, mode=0o600)
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)


def forget_passwords(home: Home) -> None:
    """Remove those that no revision on disk names."""
    sites = home.revisions.glob("*/sites-available/service-*.conf")
    named = "".join(path.read_text() for path in sites)
    for path in home.passwords_folder.glob("*"):
        if path.name not in named:
            with suppress(OSError):  # the disk may be for reading only
                path.unlink()
