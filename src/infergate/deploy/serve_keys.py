"""The configuration that `deploy serve` reads, with keys made up where there are none yet."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from infergate.config.document import environment_names, values_of
from infergate.config.load import parse_config
from infergate.config.problems import ConfigError
from infergate.config.serve import Served
from infergate.deploy.folder import File
from infergate.errors import UserError

KEYS = "keys.env"
_KEY_BYTES = 32
_ELSEWHERE = "http://127.0.0.1:1"
"""Stands for values that only the gateway needs: they may be secrets, or addresses."""
_HEADER = """\
# What ${NAME} in the gateway's configuration stands for: its keys for the engines. Secret.
"""


def new_key() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(_KEY_BYTES)


def serves(config: Path) -> bool:
    """Whether a configuration has engines; not, where it cannot be read."""
    try:
        text = config.read_text(encoding="utf-8")
        return bool(values_of(text, config.name).get("serve"))
    except (OSError, UnicodeDecodeError, ConfigError):
        return False


def read_served(
    config: Path, out: Path, environ: Mapping[str, str] = os.environ
) -> tuple[dict[str, Served], File | None]:
    """What a configuration serves, and the file of keys for the gateway; None if it needs none.

    A key is what the environment has, else what the folder `out` has of an earlier run, else it is
    made up.
    Raises UserError and ConfigError.
    """
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"cannot be read: {problem}", where=str(config)) from None
    serve = values_of(text, config.name).get("serve")
    entries = [e for e in serve.values() if isinstance(e, dict)] if isinstance(serve, dict) else []
    wanted = environment_names("\n".join(str(entry.get("api_key", "")) for entry in entries))
    needed = environment_names("\n".join(_texts(serve)))
    before = lines_of(out / KEYS)
    keys = {name: environ.get(name) or before.get(name) or new_key() for name in wanted}
    rest = {n: _ELSEWHERE for n in environment_names(text) if n not in needed}
    loaded = parse_config(text, config, {**rest, **environ, **keys})
    kept = {**before, **keys}
    if not kept:
        return loaded.config.serve, None
    lines = "".join(f"{name}={value}\n" for name, value in kept.items())
    return loaded.config.serve, File(KEYS, (_HEADER + lines).encode(), 0o600)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def lines_of(path: Path) -> dict[str, str]:
    """What an environment file has; nothing, where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}
