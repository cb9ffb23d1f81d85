"""What belongs to a gateway, and how each file is called in a backup.

    config/…    files of the configuration's folder: the YAML, and what it names
    outside/…   what it names elsewhere, such as a certificate below /etc
    home/…      of the state folder: what could not be made anew, and what comes with it

Left out is what the next start makes (sockets, temporary files), what the engine is (engines/),
kept answers, and log lines that are counted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infergate.config.named_files import named_files
from infergate.nginx.snippet import SnippetError, read_snippet
from infergate.state_file import SET_ASIDE

if TYPE_CHECKING:
    from infergate.config.load import LoadedConfig
    from infergate.paths import Home

CONFIG, OUTSIDE, HOME = "config/", "outside/", "home/"
STORE = HOME + "state/store.db"
CURRENT = "current"

_NOT_STATE = re.compile(r"store\.(db|json).*|.*\.lock|lock|\..*")
"""The database has a way of its own, the note beside it is made anew, locks hold nothing, and what
begins with a dot is about to be renamed."""

_MADE_ANEW = ("passwords",)
"""From the YAML, for whoever the workers are."""

_SNIPPETS = {"keys_file": "map", "file": "upstream"}
"""Settings whose files may `include` others, and the block that they are the inside of."""


@dataclass(frozen=True)
class Member:
    """A file to be kept. name: in the backup. path: where it is now."""

    name: str
    path: Path


@dataclass(frozen=True)
class MissingPart:
    """A file that the configuration names and that cannot be kept, and why."""

    setting: str
    path: Path
    why: str


def of_configuration(loaded: LoadedConfig) -> Iterator[Member | MissingPart]:
    """The YAML, and each file that it names or that one of those includes, once."""
    seen = {loaded.path}
    yield Member(name_in_backup(loaded.path, loaded.path.parent), loaded.path)
    for where, written in named_files(loaded.config):
        path = _plain(loaded.resolve(written))
        setting = ".".join(where)
        if path.is_dir():
            yield MissingPart(setting, path, "is a folder: bring it along yourself")
            continue
        for each in _with_included(path, where[-1]):
            if each in seen:
                continue
            seen.add(each)
            if each.is_file():
                yield Member(name_in_backup(each, loaded.path.parent), each)
            else:
                yield MissingPart(setting, each, "is not there")


def of_state(home: Home) -> Iterator[Member]:
    """What is below the state folder, without database and logs."""
    for folder in (home.state, home.revisions, home.tls, home.sites_enabled):
        for path in _files(folder, follow=folder == home.sites_enabled):
            yield Member(HOME + str(path.relative_to(home.root)), path)
    if home.ca.is_file():
        yield Member(HOME + str(home.ca.relative_to(home.root)), home.ca)


def name_in_backup(path: Path, folder: Path) -> str:
    """folder: of the configuration."""
    if path.is_relative_to(folder):
        return CONFIG + str(path.relative_to(folder))
    return OUTSIDE + str(path).lstrip("/")


def _plain(path: Path) -> Path:
    """Without `..`, links as they are: a link's name is what the configuration says."""
    return Path(os.path.normpath(path.absolute()))


def _with_included(path: Path, setting: str) -> Iterable[Path]:
    if setting not in _SNIPPETS or path.suffix in (".json", ".yaml", ".yml"):
        return (path,)
    try:
        read = read_snippet(path, _SNIPPETS[setting]).files
    except SnippetError as problem:
        read = problem.files
    return (path, *(_plain(each) for each in read if not each.is_dir()))


def _files(folder: Path, *, follow: bool) -> Iterator[Path]:
    """Links are followed where an operator makes them; elsewhere nothing needs one."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not follow:
            continue
        if path.is_dir():
            if path.name not in _MADE_ANEW:
                yield from _files(path, follow=follow)
        elif path.is_file() and not (
            _NOT_STATE.fullmatch(path.name) or path.name.endswith(SET_ASIDE)
        ):
            yield path
