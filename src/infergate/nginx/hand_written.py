"""nginx files that an operator wrote: taken into each revision, and looked at before.

They lie in the state folder's `sites-enabled/` (servers) and `sites-enabled/api.d/` (locations of
the API's server), or are linked there. A revision has a copy, so a roll-back brings back theirs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infergate.errors import EngineError
from infergate.nginx.lint import NginxBlock
from infergate.nginx.rendered import Rendered
from infergate.nginx.ways_past_keys import ways
from infergate.paths import Home

_DECODED = re.compile(r"\$(?:uri|document_uri|\d)\b")


@dataclass(frozen=True)
class Written:
    """One file written by hand. name: below sites-enabled/; path: where the operator has it."""

    name: str
    path: Path
    text: str


@dataclass(frozen=True, order=True)
class Doubt:
    """Something that nginx accepts and its writer may not have meant."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def by_hand(home: Home) -> tuple[Written, ...]:
    """The files that are enabled, by name. Raises EngineError if one cannot be read."""
    return _read(home.sites_enabled, links=True)


def copies_in(revision: Path) -> tuple[Written, ...]:
    """Those that a revision has, whose folder this is. Raises EngineError."""
    return _read(revision / "sites-enabled", links=False)  # links are to files of ours


def _read(folder: Path, *, links: bool) -> tuple[Written, ...]:
    found = []
    for path in sorted([*folder.glob("*.conf"), *folder.glob("api.d/*.conf")]):
        if path.is_symlink() and not links:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise EngineError(f"cannot be read: {problem}", where=str(path)) from None
        found.append(Written(str(path.relative_to(folder)), path, text))
    return tuple(found)


def joined(rendered: Rendered, written: tuple[Written, ...]) -> Rendered:
    """The rendered files with those written by hand.

    Raises EngineError if one has the name of a rendered file.
    """
    files: dict[str, str] = dict(rendered.files)
    for each in written:
        name = f"sites-enabled/{each.name}"
        if name in rendered.links:
            raise EngineError(
                "has the name of a file that Infergate writes",
                where=str(each.path),
                hint="Give it another one.",
            )
        files[name] = each.text
    return Rendered(files, rendered.links)


def listens(written: Written) -> Iterator[tuple[str, str]]:
    """Where one file's servers listen: address:port, and the line that says so."""
    for server in _directives(written)[0]:
        if server.name == "server" and server.around("upstream") is None:
            for each in server.own("listen") or [server]:
                # nginx takes 80 under root, and 8000 else, where nothing is said.
                address = each.arguments[0] if each.name == "listen" else _port_unsaid()
                if not address.startswith("unix:"):
                    yield _with_port(address), f"{written.path}:{each.line}"


def _port_unsaid() -> str:
    return "80" if os.geteuid() == 0 else "8000"


def _with_port(address: str) -> str:
    if address.isdigit():
        return f"*:{address}"
    has_port = ":" in address.rpartition("]")[2]
    return address if has_port else f"{address}:80"


def examine(written: Written, backends: Mapping[str, Collection[str]]) -> tuple[Doubt, ...]:
    """What is doubtful in one file, or why it cannot be read, by line.

    backends: as ways_past_keys.known has them.
    """
    blocks, errors = _directives(written)
    path = str(written.path)
    found = [(each.line, what) for each in blocks for what in _doubts(each)]
    found += [(each.line, what) for each, what in ways(blocks, backends)]
    return tuple(sorted({*errors, *(Doubt(path, line, what) for line, what in found)}))


def ways_in(written: Written, backends: Mapping[str, Collection[str]]) -> tuple[Doubt, ...]:
    """Only its ways to a backend past the keys."""
    found = ways(_directives(written)[0], backends)
    return tuple(Doubt(str(written.path), block.line, what) for block, what in found)


def _directives(written: Written) -> tuple[list[NginxBlock], list[Doubt]]:
    """All of them, at any depth, and why the file cannot be read if it cannot."""
    import crossplane  # it is slow to load, and few have such files

    path = str(written.path)
    parsed = crossplane.parse(
        path, single=True, combine=True, comments=False, check_ctx=False, check_args=False
    )
    errors = [Doubt(path, each["line"] or 1, each["error"]) for each in parsed["errors"]]
    inner = parsed["config"][0]["parsed"]
    tree = NginxBlock({"directive": "", "args": [], "file": path, "line": 1, "block": inner})
    return list(tree.everything()), errors


def _doubts(each: NginxBlock) -> Iterator[str]:
    """The rules, each with its reason."""
    name, arguments, inner = each.name, each.arguments, each.inner
    text = " ".join(arguments)
    if name in ("return", "rewrite", "add_header") and _DECODED.search(text):
        yield "a decoded path can hold line breaks here (header injection): use $request_uri"
    elif (
        name == "server"
        and each.around("upstream") is None
        and not any(
            item.name == "include" and item.arguments == ["snippets/access.conf"] for item in inner
        )
    ):
        yield "`access` of infergate.yaml does not hold here: include snippets/access.conf"
    elif name == "location" and not arguments[-1].endswith("/"):
        for item in inner:
            if item.name == "alias" and item.arguments[0].endswith("/"):
                yield "an alias with '/' below a location without it lets ../ out of the folder"
    elif name == "autoindex" and arguments == ["on"]:
        yield "shows the folder's files to everybody"
    elif name == "server_tokens" and arguments == ["on"]:
        yield "tells nginx's version"
    elif name == "merge_slashes" and arguments == ["off"]:
        yield "'//' passes by locations that were meant to match"
    elif name == "ssl_protocols" and {"SSLv3", "TLSv1", "TLSv1.1"} & set(arguments):
        yield "allows versions of TLS that are broken (RFC 8996)"
