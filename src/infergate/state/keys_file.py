"""`auth.keys_file`: keys as hand-written gateways have them, lines `"Bearer <key>" 1;` of a `map`.

A file that is not understood is not taken over at all, as with nginx: the keys it had before hold.
One that is not there has no keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infergate.config.load import LoadedConfig
from infergate.config.problems import Finding
from infergate.errors import KeyInputError
from infergate.files import write_atomically
from infergate.nginx.snippet import SnippetError, SnippetLine, read_snippet, read_text
from infergate.paths import Home
from infergate.state_file import read_state
from infergate.store.names import LONGEST_NAME, NAME_PATTERN
from infergate.store.secrets import key_hash

_BEARER = re.compile(r"Bearer\s+(\S+)", re.IGNORECASE)  # nginx's maps ignore the case
_NAME = re.compile(NAME_PATTERN)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.@ -]+")
_OFF = ("0", "")
"""What nginx's `if` takes for false."""
_SETTINGS = (("volatile",), ("hostnames",), ("default", "0"), ("default", ""))
_HASH_IN_NAME = 12
"""Characters of the hash: of ten thousand keys, no two have the same by chance (1 in 5 million)."""
_SHARED_WITH_SECRET = 6
_HINT = 'A key is a line "Bearer <key>" 1; and one that is switched off has 0 instead of 1.'


@dataclass(frozen=True)
class FileKey:
    """One line of a keys file: the key's hash and what the log calls it."""

    name: str
    hash: str


@dataclass(frozen=True)
class KeysFile:
    """What a keys file says. files: what to look at for changes (nginx/snippet.py).

    problem: why the file's keys are not what it says now, or are not there; "" if all is well.
    """

    keys: tuple[FileKey, ...] = ()
    files: tuple[Path, ...] = ()
    problem: str = ""


def keys_of_lines(text: str, name: str) -> tuple[FileKey, ...]:
    """The keys of a text of lines `"Bearer <key>" 1;`, with or without the `map` around them.

    name: the file's, for the keys' names and for errors.
    Raises KeyInputError, naming the lines (never their content), if one is not understood.
    """
    try:
        return keys_in(read_text(text, "map"), name)
    except SnippetError as problem:
        raise KeyInputError(str(problem), where=name, hint=_HINT) from None


def read_keys_file(loaded: LoadedConfig, home: Home) -> KeysFile:
    """The keys of `auth.keys_file` as they hold now, and what is wrong with it."""
    name = loaded.config.auth.keys_file
    if name is None:
        return KeysFile()
    path = loaded.resolve(name)
    if not _is_there(path):
        return KeysFile((), (path,), f"there is no file {name}, so none of its keys is valid")
    found = _read(path, name)
    if not found.problem:
        return found
    known = _known(home, path)
    return KeysFile(known, found.files, f"{found.problem}; the {len(known)} keys known before hold")


def wrong_keys_file(loaded: LoadedConfig) -> list[Finding]:
    """What is not understood in it, where it is there."""
    name = loaded.config.auth.keys_file
    if name is None or not _is_there(path := loaded.resolve(name)):
        return []
    problem = _read(path, name).problem
    return [(("auth", "keys_file"), problem)] if problem else []


def _read(path: Path, name: str) -> KeysFile:
    """What the file says; of one that is not understood, why, and no keys."""
    files: tuple[Path, ...] = (path,)
    try:
        snippet = read_snippet(path, "map")
        files = snippet.files
        return KeysFile(keys_in(snippet.lines, path.name), files)
    except SnippetError as problem:
        return KeysFile((), problem.files, f"{name}: {problem}")
    except KeyInputError as problem:
        return KeysFile((), files, f"{name}: {problem.what}")


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # it may be: reading it says why not
    return True


def note_keys_file(home: Home, loaded: LoadedConfig, found: KeysFile) -> None:
    """Keep what a file says, for the time when it says something that is not understood."""
    name = loaded.config.auth.keys_file
    if name is None or found.problem:
        return
    keys = [asdict(key) for key in found.keys]
    document = json.dumps({"file": str(loaded.resolve(name)), "keys": keys})
    if not home.keys_file.exists() or home.keys_file.read_text() != document:
        write_atomically(home.keys_file, document)


def _known(home: Home, path: Path) -> tuple[FileKey, ...]:
    def understood(said: dict[str, Any]) -> tuple[FileKey, ...]:
        return tuple(FileKey(**each) for each in said["keys"]) if said["file"] == str(path) else ()

    return read_state(home.keys_file, understood) or ()


def keys_in(lines: Iterable[SnippetLine], file: str) -> tuple[FileKey, ...]:
    """The same of lines that were read already. Raises KeyInputError."""
    keys: dict[str, FileKey] = {}
    off: dict[str, str] = {}
    wrong: list[str] = []
    for line in lines:
        match = _BEARER.fullmatch(line.words[0])
        value = line.words[1] if len(line.words) == 2 else None
        if value in _OFF and line.words[0] != "default":
            off |= {key_hash(match[1]): line.place} if match else {}
        elif match and value == "1":
            digest = key_hash(match[1])
            keys.setdefault(digest, FileKey(_name(line.comment, match[1], digest, file), digest))
        elif line.words not in _SETTINGS:
            wrong.append(line.place)
    wrong += [place for digest, place in off.items() if digest in keys]
    if wrong:
        more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        places = ", ".join(dict.fromkeys(wrong[:10]))
        raise KeyInputError(f"not understood: {places}{more}", where=file, hint=_HINT)
    return tuple(keys.values())


def _name(comment: str, secret: str, digest: str, file: str) -> str:
    """What a key is called, whatever other lines there are: by its comment, or by its hash.

    Two keys with the same comment are one person's, and counted together.
    """
    said = " ".join(_NOT_IN_NAMES.sub("-", comment).split()).strip("- .")[:LONGEST_NAME].strip()
    if _NAME.fullmatch(said) and not _gives_away(comment, secret):
        return said
    stem = _NOT_IN_NAMES.sub("-", file).strip("- .")[: LONGEST_NAME - _HASH_IN_NAME - 1] or "key"
    return f"{stem}-{digest[:_HASH_IN_NAME]}"


def _gives_away(comment: str, secret: str) -> bool:
    """Whether some of the secret is in the comment, which goes to the log."""
    parts = (secret[at : at + _SHARED_WITH_SECRET] for at in range(len(secret)))
    return any(len(part) == _SHARED_WITH_SECRET and part in comment for part in parts)
