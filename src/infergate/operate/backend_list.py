"""Where each backend comes from, and what operators changed of it."""

from __future__ import annotations

from typing import Any

from infergate.config.backends import AddedBackend, Discover
from infergate.config.in_force import Change, holds, in_force, with_found
from infergate.config.load import LoadedConfig
from infergate.paths import Home
from infergate.state.in_force import groups_of, read_changes, read_groups


def backend_list(declared: LoadedConfig, home: Home) -> dict[str, Any]:
    """What there is, as JSON.

    declared: the configuration as the file has it.
    backends: of each active, its settings, where it comes from (`origin`: "file", "by hand", or
        how its group is found), and its `changes`. removed: those that operators took out.
    groups: how each is found, what of it, why not (`problem`), and what has the name of another
        backend (`left_out`).
    """
    groups = read_groups(home)
    found = {name: group.backends for name, group in groups.items()}
    expanded = with_found(declared.config, found)
    changes = [change for change in read_changes(home) if holds(change, expanded)]
    config = in_force(declared.config, found, changes)
    finders = groups_of(declared)
    group_of: dict[str, str | None] = dict.fromkeys(declared.config.backends)
    names_in = {name: [each.name for each in found.get(name, ())] for name in finders}
    for name, names in names_in.items():
        for each in names:
            group_of.setdefault(each, name if each in expanded.backends else None)
    backends = {}
    for name, backend in config.backends.items():
        group = group_of.get(name)
        own = [change for change in changes if change.backend == name]
        by_hand = isinstance(backend, AddedBackend)
        backends[name] = {
            "url": backend.url,
            "engine": backend.engine,
            "weight": backend.weight,
            "max_in_flight": backend.max_in_flight,
            "origin": "by hand" if by_hand else how(finders[group]) if group else "file",
            "group": group,
            "changes": [_public(change) for change in own],
        }
    return {
        "backends": backends,
        "removed": [_public(c) for c in changes if c.what == "remove" and c.instead_of],
        "groups": {
            name: {
                "found_by": how(finder),
                "backends": [each for each in names_in[name] if group_of[each] == name],
                "left_out": [each for each in names_in[name] if group_of[each] != name],
                "problem": groups[name].problem if name in groups else None,
            }
            for name, finder in finders.items()
        },
    }


def how(discover: Discover) -> str:
    """How a group is found, in a few words."""
    return f"dns {discover.dns}" if discover.dns is not None else f"file {discover.file}"


def in_words(change: Change) -> str:
    """A change as people say it."""
    if change.what == "weight":
        return f"the weight {change.value['weight']} of {change.backend}"
    return f"{change.backend} was {'added' if change.what == 'add' else 'removed'}"


def _public(change: Change) -> dict[str, Any]:
    return {
        "backend": change.backend,
        "what": change.what,
        "value": dict(change.value),
        "instead_of": None if change.instead_of is None else dict(change.instead_of),
        "at": change.at,
        "who": change.who,
    }
