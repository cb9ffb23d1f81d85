"""Who on this machine may read what is secret."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.errors import EngineError
from infergate.hardening.check import Check, bad, good
from infergate.nginx.hand_written import by_hand, ways_in
from infergate.nginx.ways_past_keys import known
from infergate.nginx.worker_user import worker_user
from infergate.paths import Home


def check_files(loaded: LoadedConfig, home: Home) -> Iterator[Check]:
    """Modes of secrets, and who nginx's workers are."""
    open_to_others = sorted({path for path in _secrets(loaded, home) if _others_read(path)})
    if open_to_others:
        for path in open_to_others:
            yield bad(
                f"files.{path.name}",
                "high",
                f"other users of this machine may read {path}",
                f"chmod go-rwx {path}",
            )
    else:
        yield good("files.secrets", "high", "secrets are readable by their owner only")
    yield from _written(loaded, home)
    if os.geteuid() == 0:
        try:
            worker_user(loaded.config, home)
        except EngineError as problem:
            what = f"{problem.where}: {problem.what}"
            yield bad("files.workers", "high", what, problem.hint or "")
        else:
            yield good("files.workers", "high", "nginx's workers are not root")


def _written(loaded: LoadedConfig, home: Home) -> Iterator[Check]:
    """Of nginx files by hand: unmarked ways to backends do not take effect, marked ones do."""
    written = by_hand(home)
    ways = [way for each in written for way in ways_in(each, known(loaded.config, {}))]
    for way in ways:
        yield bad(
            f"files.past_keys.{Path(way.file).name}.{way.line}",
            "high",
            str(way),
            "Send its clients to the gateway's own /v1, and remove the way.",
        )
    if written and not ways:
        yield good("files.past_keys", "high", "files by hand lead to no backend past the keys")


def _secrets(loaded: LoadedConfig, home: Home) -> Iterator[Path]:
    config = loaded.config
    if any("clear text" in each.message for each in loaded.warnings):
        yield loaded.path
    if config.auth.keys_file:
        yield loaded.resolve(config.auth.keys_file)
    if config.tls:
        for files in (config.tls.files, *(host.files for host in config.tls.hosts.values())):
            if files:
                yield loaded.resolve(files.key)
    yield from _below(
        home,
        ("state/store.db*", "state/*.json", "revisions/*/secrets.conf", "tls/**/*", "logs/*"),
    )


def _below(home: Home, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from home.root.glob(pattern)


def _others_read(path: Path) -> bool:
    """Whether somebody else may: the file lets them, and so does each folder above it."""
    try:
        if not path.stat().st_mode & 0o004:
            return False
        return all(folder.stat().st_mode & 0o001 for folder in path.absolute().parents)
    except OSError:  # it is gone, or not even we may look
        return False
