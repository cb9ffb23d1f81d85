"""All checks of one gateway."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.config.root import Config
from infergate.engine.choose import Engine
from infergate.errors import InfergateError
from infergate.hardening.backends import ask, check_backends, listening_addresses
from infergate.hardening.check import Check, unknown
from infergate.hardening.engine import check_engine
from infergate.hardening.files import check_files
from infergate.hardening.gixy import check_with_gixy
from infergate.hardening.keys import check_keys
from infergate.hardening.live import check_live
from infergate.hardening.settings import check_settings
from infergate.live.apply import rendered
from infergate.nginx.hand_written import by_hand
from infergate.nginx.rendered import write
from infergate.paths import Home
from infergate.store.database import database_for
from infergate.store.keys import all_keys


def audit(
    loaded: LoadedConfig, home: Home, engine: Engine, *, runs: bool, asked: bool
) -> Iterator[Check]:
    """Every check, one after the other; takes a few seconds.

    runs: whether the gateway answers, so that it can be looked at from outside.
    asked: whether backends are asked over the network.
    """
    config = loaded.config
    yield from check_settings(config)
    yield from check_files(loaded, home)
    yield from check_engine(engine)
    yield from _keys(config, home)
    answers: Callable[[str], int | None] = ask if asked else lambda _: None
    yield from check_backends(config, answers, listening_addresses())
    if runs:
        yield from check_live(config)
    else:
        yield unknown("headers", "the gateway is not running", "infergate up")
    yield from _gixy(loaded, home, engine)


def _keys(config: Config, home: Home) -> Iterator[Check]:
    if config.store.url is None and not home.store.exists():
        yield from check_keys(config, (), time.time())  # it never ran: nothing is made for this
        return
    try:
        keys = all_keys(database_for(config, home))
    except InfergateError as problem:
        yield unknown("keys", str(problem))
        return
    yield from check_keys(config, keys, time.time())


def _gixy(loaded: LoadedConfig, home: Home, engine: Engine) -> Iterator[Check]:
    if home.current.exists():
        revision = home.current.resolve()
        yield from check_with_gixy(revision, _files(revision))
        return
    with tempfile.TemporaryDirectory(prefix="ig-") as folder:
        revision = Path(folder).resolve()
        write(rendered(loaded, Home(revision), engine, 0, written=by_hand(home)), revision)
        yield from check_with_gixy(revision, _files(revision))


def _files(folder: Path) -> frozenset[str]:
    return frozenset(str(path.relative_to(folder)) for path in folder.rglob("*"))
