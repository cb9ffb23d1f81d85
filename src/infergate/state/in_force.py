"""The active configuration, for every process of a gateway: the file, with what two snapshots in
the state folder add, so that nobody needs the database or DNS to know it.

changes.json     what operators changed, from the database; written by whoever changes something
discovered.json  the backends of groups; written by the control plane
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infergate.config.backends import Discover, FoundBackend
from infergate.config.in_force import Change, has_lapsed, in_force, with_found
from infergate.config.load import LoadedConfig
from infergate.files import replace_or_overwrite, stamp
from infergate.live.revisions import current
from infergate.paths import Home
from infergate.state_file import read_state

if TYPE_CHECKING:  # loading it takes longer than `infergate status`, which needs no database here
    from infergate.store.database import Database

T = TypeVar("T")

_VERSION = 1


@dataclass(frozen=True)
class Group:
    """What is known of one group. problem: why it could not be looked up the last time, and None
    if it could; its backends are then those of before."""

    backends: tuple[FoundBackend, ...] = ()
    problem: str | None = None


def bring_into_force(
    loaded: LoadedConfig, home: Home, groups: Mapping[str, Group] | None = None
) -> LoadedConfig:
    """A configuration as it holds. loaded: as the file has it.

    groups: what is known of some better than by what was found the last time.
    """
    besides = _besides(home)  # before they are read: what comes meanwhile is then newer
    known = {**read_groups(home), **(groups or {})}
    found = {name: group.backends for name, group in known.items()}
    config = in_force(loaded.config, found, read_changes(home))
    return dataclasses.replace(loaded, config=config, besides=besides)


def is_active(loaded: LoadedConfig, home: Home) -> bool:
    """Whether a configuration is still that of the active revision; true where there is none."""
    now = current(home)
    return now is None or now.text == loaded.text


def is_newest(loaded: LoadedConfig, home: Home) -> bool:
    """Whether it is so also with what was put over it: with what was found and changed until
    now."""
    return loaded.besides == _besides(home) and is_active(loaded, home)


def _besides(home: Home) -> object:
    return stamp(home.changes), stamp(home.discovered)


def lapsed(loaded: LoadedConfig, home: Home) -> tuple[Change, ...]:
    """The changes that the file has overtaken. loaded: as the file has it."""
    found = {name: group.backends for name, group in read_groups(home).items()}
    config = with_found(loaded.config, found)
    return tuple(change for change in read_changes(home) if has_lapsed(change, config))


def read_changes(home: Home) -> tuple[Change, ...]:
    """What operators changed, as the database said it last."""
    return _read(home.changes, lambda said: tuple(Change(**each) for each in said["changes"])) or ()


def note_changes(home: Home, database: Database) -> None:
    """Bring the snapshot up to date. Raises StateError if the database cannot be read."""
    from infergate.store.backend_changes import all_changes

    changes = all_changes(database)
    if changes != read_changes(home):
        _write(home.changes, {"changes": [dataclasses.asdict(each) for each in changes]})


def read_groups(home: Home) -> dict[str, Group]:
    """What was found of each group the last time."""
    return _read(home.discovered, _groups) or {}


def _groups(document: Mapping[str, Any]) -> dict[str, Group]:
    return {
        name: Group(tuple(map(FoundBackend.model_validate, each["backends"])), each["problem"])
        for name, each in document["groups"].items()
    }


def note_groups(home: Home, groups: Mapping[str, Group]) -> None:
    """Write down what was found."""
    document = {
        name: {"backends": _dumped(group.backends), "problem": group.problem}
        for name, group in groups.items()
    }
    _write(home.discovered, {"groups": document})


def _dumped(backends: Sequence[FoundBackend]) -> list[dict[str, Any]]:
    return [each.model_dump(mode="json", exclude_none=True) for each in backends]


def groups_of(loaded: LoadedConfig) -> dict[str, Discover]:
    """The groups that a file has, and how each is found."""
    backends = loaded.config.backends.items()
    return {name: each.discover for name, each in backends if each.discover is not None}


def _read(path: Path, understood: Callable[[dict[str, Any]], T]) -> T | None:
    """None for one of another version, too."""
    return read_state(path, lambda said: understood(said) if said["v"] == _VERSION else None)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    replace_or_overwrite(path, json.dumps({"v": _VERSION, **document}))
