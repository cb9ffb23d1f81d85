"""Revisions: each a folder with rendered nginx files, and the YAML that they came from."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from infergate.config.document import values_of
from infergate.config.load import LoadedConfig, load_config, parse_config
from infergate.config.problems import ConfigError
from infergate.errors import NotThere, StateError, of_machine
from infergate.files import write_atomically
from infergate.log import log
from infergate.nginx.passwords import forget_passwords
from infergate.paths import Home
from infergate.state_file import SET_ASIDE, read_state, set_aside

if TYPE_CHECKING:  # rendering takes longer to load than `infergate status` to run
    from infergate.engine.choose import Engine
    from infergate.nginx.addresses import Addresses
    from infergate.nginx.rendered import Rendered

KEPT_REVISIONS = 10
"""With different YAML: restarts and changed addresses activate the same one again."""

UNKNOWN_ENGINE = "nginx, of which the record was damaged"
"""Of a revision of which only the files are left."""

_NUMBER = re.compile("[0-9]{1,9}")
_SOURCE = "infergate.yaml"
_VALUES = "values.json"
"""The values of the YAML, with its digest: to read them there takes a hundredth of the time."""
_RECORD = "revision.json"
_CERTIFICATE = re.compile(
    r'^\s*ssl_(?:certificate|certificate_key|client_certificate)\s+"?([^";$]+)"?;', re.MULTILINE
)


@dataclass(frozen=True)
class Revision:
    """One rendered configuration on disk.

    at: when it was rendered, Unix seconds. engine: whose modules it loads.
    of: the earlier revision whose YAML it brought back; None for a YAML of its own.
    certificates: path → SHA-256 of the certificates and keys that nginx reads besides its files.
    addresses: name → those that the files have of it.
    failed: why it was rolled back, if it was.
    """

    number: int
    path: Path
    at: float
    engine: str
    of: int | None = None
    certificates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    failed: str | None = None
    addresses: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    @property
    def text(self) -> str:
        """The YAML that it came from, as it was."""
        return (self.path / _SOURCE).read_text(encoding="utf-8", errors="replace")


def next_number(home: Home) -> int:
    """The number of the next revision. None is ever used twice while its workers may run."""
    return 1 + max((int(path.name) for path in _numbered(home)), default=0)


def keep(
    home: Home,
    number: int,
    rendered: Rendered,
    loaded: LoadedConfig,
    engine: Engine,
    of: int | None = None,
    addresses: Addresses | None = None,
) -> Revision:
    """Write a revision's folder. Nothing that runs is touched."""
    from infergate.nginx.rendered import write

    revision = Revision(
        number,
        home.revisions / str(number),
        time.time(),
        str(engine),
        of,
        certificates_of(rendered),
        addresses={} if addresses is None else addresses,
    )
    shutil.rmtree(revision.path, ignore_errors=True)  # of a process that was killed here
    try:
        write(rendered, revision.path)
        # 0600: they may hold secrets.
        write_atomically(revision.path / _VALUES, _values_of(loaded))
        write_atomically(revision.path / _SOURCE, loaded.text)
        _record(revision)
    except OSError as problem:
        forget(revision)
        raise of_machine(problem, "cannot be written") from problem
    except StateError:
        forget(revision)
        raise
    return revision


def mark_failed(revision: Revision, why: str) -> None:
    """Say that this revision was rolled back; its folder stays, to be looked at."""
    _record(dataclasses.replace(revision, failed=why))


def _record(revision: Revision) -> None:
    facts = {name: value for name, value in vars(revision).items() if name != "path"}
    write_atomically(revision.path / _RECORD, json.dumps(facts))


def certificates_of(rendered: Rendered) -> dict[str, str]:
    """The certificates and keys that the files name, each with the SHA-256 of its content now."""
    return digests(path for text in rendered.files.values() for path in _CERTIFICATE.findall(text))


def digests(paths: Iterable[str]) -> dict[str, str]:
    """Path → SHA-256 of what is in each file now; "" where it cannot be read."""
    return {path: _digest(Path(path)) for path in sorted(set(paths))}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""  # nginx says what is wrong with it


def revisions(home: Home) -> tuple[Revision, ...]:
    """Those that are still on disk, oldest first."""
    found = (_read(home.revisions / str(number)) for number in sorted(_numbers(home)))
    return tuple(revision for revision in found if revision is not None)


def current(home: Home) -> Revision | None:
    """The revision that `current` names; None before the first one."""
    return _read(home.current.resolve())


def named(home: Home) -> str:
    """What `current` names, for comparing; "" for nothing."""
    try:
        return str(home.current.readlink())
    except OSError:
        return ""


def revision(home: Home, number: int) -> Revision:
    """Raises NotThere if it is not on disk."""
    found = _read(home.revisions / str(number))
    if found is None:
        here = ", ".join(str(each.number) for each in revisions(home)) or "none"
        raise NotThere(f"there is no revision {number} here", hint=f"Kept are: {here}.")
    return found


def load_revision(kept: Revision, path: Path) -> LoadedConfig:
    """The configuration that a revision came from, as if it stood in the file at path.

    Raises ConfigError: its YAML may be damaged, or the environment have other variables by now.
    """
    text = kept.text
    digest = _digest_of(text)
    values = read_state(
        kept.path / _VALUES, lambda said: said["values"] if said["sha256"] == digest else None
    )
    return parse_config(text, path, values=values)


def _values_of(loaded: LoadedConfig) -> str:
    values = values_of(loaded.text, loaded.path.name)
    return json.dumps({"sha256": _digest_of(loaded.text), "values": values})


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def load_applied(home: Home, path: Path) -> LoadedConfig:
    """The active configuration: as the file at path was when it was applied, whatever is in it
    now. The file itself where nothing is active yet. Raises what load_config raises."""
    applied = current(home)
    if applied is None:
        return load_config(path)
    try:
        return load_revision(applied, path)
    except ConfigError as problem:
        log.error(
            "the active YAML is damaged; the file counts", revision=applied.number, why=problem
        )
        return load_config(path)


def differing(rendered: Rendered, folder: Path) -> tuple[str, ...]:
    """The files that are not in folder as they are rendered, those no longer rendered included."""
    there = {str(path.relative_to(folder)): path for path in _files(folder)}
    names = sorted({*rendered.files, *there})
    return tuple(
        name
        for name in names
        if name not in there or there[name].read_text(errors="replace") != rendered.files.get(name)
    )


def _files(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        ours = path.name in (_SOURCE, _VALUES, _RECORD) or path.name.endswith(SET_ASIDE)
        if path.is_file() and not path.is_symlink() and not ours:
            yield path


def switch(home: Home, revision: Revision) -> None:
    """Let `current` name this revision, in one step. Raises StateError if the disk refuses."""
    temporary = home.root / ".current"
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(revision.path.relative_to(home.root))
        temporary.replace(home.current)
    except OSError as problem:
        what = "cannot name another revision"
        raise of_machine(problem, what, str(home.current)) from problem


def forget(revision: Revision) -> None:
    """Remove one that never was active."""
    shutil.rmtree(revision.path, ignore_errors=True)


def forget_unused(home: Home) -> None:
    """Remove those that somebody made who was killed before they took effect."""
    now = current(home)
    for number in _numbers(home):
        found = _read(home.revisions / str(number))
        if now is not None and number > now.number and (found is None or found.failed is None):
            shutil.rmtree(home.revisions / str(number), ignore_errors=True)


def forget_old(home: Home) -> None:
    """Remove all but the last revisions. The active one always stays, that whose files nginx has
    (a change that needs no reload leaves it those of before), and the newest two: a change may
    still be rolled back."""
    kept: list[str | None] = []
    in_use = {home.current.resolve(), home.revisions / str(_of_nginx(home))}
    for number in sorted(_numbers(home), reverse=True):
        folder = home.revisions / str(number)
        found = _read(folder)
        text = found.text if found else None
        needed = len(kept) < 2 or folder in in_use
        if needed or (text not in (None, kept[-1]) and len(list(groupby(kept))) < KEPT_REVISIONS):
            kept.append(text)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    forget_passwords(home)


def _of_nginx(home: Home) -> int | None:
    from infergate.live.shared_memory import read

    try:
        return read(home.socket).revision
    except StateError:
        return None


def _numbers(home: Home) -> list[int]:
    return [int(path.name) for path in _numbered(home) if path.is_dir()]


def _numbered(home: Home) -> list[Path]:
    """Others' files with such a name, too."""
    return [path for path in home.revisions.glob("*") if _NUMBER.fullmatch(path.name)]


def _read(folder: Path) -> Revision | None:
    record = folder / _RECORD
    if not (folder / _SOURCE).is_file():
        return None
    known = read_state(record, lambda facts: Revision(path=folder, **facts))
    if known is None and _NUMBER.fullmatch(folder.name) and set_aside(folder):
        at = (folder / _SOURCE).stat().st_mtime
        known = Revision(int(folder.name), folder, at, engine=UNKNOWN_ENGINE)
        with contextlib.suppress(StateError):
            _record(known)
    return known
