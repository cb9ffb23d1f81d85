"""nginx files that an operator wrote: taken into each revision, and looked at before.

They lie in the state folder's `sites-enabled/` (servers) and `sites-enabled/api.d/` (locations of
the API's server), or are linked there. A revision has a copy, so a roll-back brings back theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infergate.errors import EngineError
from infergate.nginx.render import Rendered
from infergate.paths import Home

_FROM_THE_REQUEST = re.compile(r"\$(?:host|http_\w+|arg_\w+|args|query_string|cookie_\w+|\d)\b")
_HOST_OF_URL = re.compile(r"https?://([^/]*?)(?:\$(?:request_uri|uri|document_uri)\b|/|$)")
"""These variables begin with '/', so the host ends before them."""
_DECODED = re.compile(r"\$(?:uri|document_uri|\d)\b")


@dataclass(frozen=True)
class Written:
    """One file written by hand. name: below sites-enabled/; path: where the operator has it."""

    name: str
    path: Path
    text: str


@dataclass(frozen=True, order=True)
class Finding:
    """Something that nginx accepts and its writer may not have meant."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def by_hand(home: Home) -> tuple[Written, ...]:
    """The files that are enabled, by name. Raises EngineError if one cannot be read."""
    folder = home.sites_enabled
    found = []
    for path in sorted([*folder.glob("*.conf"), *folder.glob("api.d/*.conf")]):
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


def examine(written: Written, backends: Mapping[str, str]) -> tuple[Finding, ...]:
    """What is doubtful in one file, or why it cannot be read, by line.

    backends: name → "host:port", of what only keys should lead to.
    """
    import crossplane  # it is slow to load, and few have such files

    parsed = crossplane.parse(
        str(written.path), single=True, comments=False, check_ctx=False, check_args=False
    )
    file = parsed["config"][0]
    errors = [Finding(str(written.path), e["line"] or 1, e["error"]) for e in file["errors"]]
    doubts = [
        Finding(str(written.path), each["line"], message)
        for each in _all(file["parsed"])
        for message in _doubts(each, backends)
    ]
    return tuple(sorted({*errors, *doubts}))


def _all(block: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in block:
        yield each
        yield from _all(each.get("block", []))


def _doubts(each: dict[str, Any], backends: Mapping[str, str]) -> Iterator[str]:
    """The rules, each with its reason."""
    name, arguments = each["directive"], each["args"]
    text = " ".join(arguments)
    inner = each.get("block", [])
    if name == "proxy_pass":
        host = _HOST_OF_URL.match(text)
        if host and _FROM_THE_REQUEST.search(host[1]):
            yield "the client chooses the server here: it may reach anything that this machine can"
        for backend, address in backends.items():
            if host and host[1] in (backend, address):
                yield f"leads to the backend {backend!r} past keys and limits"
    elif name in ("return", "rewrite", "add_header") and _DECODED.search(text):
        yield "a decoded path can hold line breaks here (header injection): use $request_uri"
    elif name == "server" and not any(_includes(item, "snippets/access.conf") for item in inner):
        yield "`access` of infergate.yaml does not hold here: include snippets/access.conf"
    elif name == "location" and not arguments[-1].endswith("/"):
        for item in inner:
            if item["directive"] == "alias" and item["args"][0].endswith("/"):
                yield "an alias with '/' below a location without it lets ../ out of the folder"
    elif name == "autoindex" and arguments == ["on"]:
        yield "shows the folder's files to everybody"
    elif name == "server_tokens" and arguments == ["on"]:
        yield "tells nginx's version"
    elif name == "merge_slashes" and arguments == ["off"]:
        yield "'//' passes by locations that were meant to match"
    elif name == "ssl_protocols" and {"SSLv3", "TLSv1", "TLSv1.1"} & set(arguments):
        yield "allows versions of TLS that are broken (RFC 8996)"


def _includes(item: dict[str, Any], path: str) -> bool:
    return bool(item["directive"] == "include" and item["args"] == [path])
