"""What a configuration would change if it were applied: nothing, state only, or nginx's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from infergate.changes.settings import (
    SettingChange,
    changed_lines,
    changed_settings,
    secrets_of,
)
from infergate.config.load import LoadedConfig
from infergate.engine.choose import Engine, choose_engine
from infergate.engine.running import running_engine
from infergate.errors import Conflict, StateError, UserError
from infergate.live.apply import rendered
from infergate.live.drain import Drain, drain
from infergate.live.revisions import (
    UNKNOWN_ENGINE,
    Revision,
    certificates_of,
    current,
    differing,
    load_revision,
    revision,
)
from infergate.live.shared_memory import read
from infergate.nginx.addresses import Addresses
from infergate.nginx.rendered import SECRET_FILES
from infergate.paths import Home
from infergate.state.in_force import bring_into_force

Kind = Literal["nothing", "state", "reload"]
"""What it takes. "state": shared memory and the control plane; nginx is not touched."""


@dataclass(frozen=True)
class Plan:
    """What would change.

    revision: the active one; None before the first.
    settings: what differs in the YAML.
    files: nginx's files that differ, and certificates whose content does.
    open_requests: backend → requests in flight there now; none of them would be cut.
    left: what still runs on workers of earlier revisions.
    """

    kind: Kind
    revision: int | None
    settings: tuple[SettingChange, ...]
    files: tuple[str, ...]
    open_requests: Mapping[str, int]
    left: Drain


def plan(
    loaded: LoadedConfig,
    home: Home,
    engine: Engine | None = None,
    addresses: Addresses | None = None,
) -> Plan:
    """Compare a configuration with the active one. Nothing that runs is touched.

    loaded: as the file has it. engine: the one it asks for; chosen if None.
    addresses: of its names; looked up if None.
    Raises EngineError if there is no nginx to render for, UserError if it is another than runs.
    """
    now = current(home)
    if now is None:
        return Plan("reload", None, (), (), {}, Drain())
    engine = engine or choose_engine(loaded.config.engine, home.root).engine
    files = _changed_files(loaded, home, now, engine, addresses)
    same = loaded.text == now.text
    kind: Kind = "reload" if files else "nothing" if same else "state"
    return Plan(
        kind,
        now.number,
        changed_settings(load_revision(now, loaded.path).config, loaded.config),
        files,
        _open_requests(home),
        drain(home),
    )


def _changed_files(
    loaded: LoadedConfig,
    home: Home,
    now: Revision,
    engine: Engine,
    addresses: Addresses | None,
) -> tuple[str, ...]:
    loaded = bring_into_force(loaded, home)
    if now.engine == UNKNOWN_ENGINE:
        is_other = engine.argv != running_engine(home.root)
    else:
        is_other = str(engine) != now.engine
    if is_other:
        raise UserError(
            f"nginx runs as {now.engine}; another engine ({engine}) needs a start",
            where=str(loaded.path),
            hint="`infergate down`, then `infergate up`.",
        )
    # As the revision of today's number, which the files of njs/ have in them.
    files = rendered(loaded, home, engine, now.number, addresses)
    found = certificates_of(files)
    renewed = [path for path, digest in found.items() if now.certificates.get(path) != digest]
    return (*differing(files, now.path), *renewed)


def _open_requests(home: Home) -> Mapping[str, int]:
    try:
        return {name: count for name, count in read(home.socket).in_flight.items() if count > 0}
    except StateError:
        return {}


def diff(
    loaded: LoadedConfig,
    home: Home,
    *,
    before: int | None = None,
    after: int | None = None,
    nginx: bool = False,
) -> tuple[str, ...]:
    """The lines that differ between two configurations, as of `diff -u`, without secrets.

    before: a revision; the active one if None. after: a revision; the YAML file if None.
    nginx: compare the rendered files instead of the YAML.
    Raises NotThere for a revision that is not kept.
    """
    old = revision(home, before) if before is not None else current(home)
    new = revision(home, after) if after is not None else None
    if old is None:
        raise Conflict("nothing is active yet", where=str(home.root))
    names = (f"revision {old.number}", f"revision {new.number}" if new else loaded.path.name)
    if nginx:
        return _files_diff(loaded, home, old, new, names)
    text = new.text if new else loaded.text
    there = loaded if new is None else load_revision(new, loaded.path)
    secrets = secrets_of(load_revision(old, loaded.path).config) | secrets_of(there.config)
    return changed_lines(old.text, text, names, secrets)


def _files_diff(
    loaded: LoadedConfig, home: Home, old: Revision, new: Revision | None, names: tuple[str, str]
) -> tuple[str, ...]:
    if new is None:
        engine = choose_engine(loaded.config.engine, home.root).engine
        texts = rendered(bring_into_force(loaded, home), home, engine, old.number).files
    else:
        paths = (path for path in new.path.rglob("*") if path.is_file() and not path.is_symlink())
        texts = {str(path.relative_to(new.path)): path.read_text() for path in paths}
    lines: list[str] = []
    for name in sorted({*texts, *(str(p.relative_to(old.path)) for p in old.path.rglob("*.conf"))}):
        there = old.path / name
        if not name.endswith(".conf") or there.is_symlink():
            continue
        was = there.read_text() if there.is_file() else ""
        text = texts.get(name, "")
        if was != text and name in SECRET_FILES:
            lines.append(f"{name} differs; it holds secrets and is not shown")
        elif was != text:
            lines += changed_lines(was, text, (f"{names[0]}/{name}", f"{names[1]}/{name}"))
    return tuple(lines)
