"""Ways to a backend in nginx files written by hand: whoever takes one passes by keys and limits.

They are found where an address is written, not where it is used: nginx may be led there through an
upstream, a variable, a map or a file that is included.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from infergate.config.addresses import is_ip, is_loopback
from infergate.config.root import Config
from infergate.errors import LintError
from infergate.nginx.lint import Block, is_by_hand, parse

MARK = "# infergate: past-keys"
"""In a line, or in the one above it: its writer means it."""

_FROM_THE_REQUEST = re.compile(r"\$(?:host|http_\w+|arg_\w+|args|query_string|cookie_\w+|\d)\b")
_AUTHORITY = re.compile(r"(?:[a-z]+://)?([^/]*?)(?:\$(?:request_uri|uri|document_uri)\b|/|$)")
"""Of a URL or an address. These variables begin with '/', so the host ends before them."""
_PASSES = re.compile(r"(?:proxy|grpc|fastcgi|uwsgi|scgi|memcached)_pass")
_VARIABLE = re.compile(r"\$\{?(\w+)")
_TABLES = ("map", "geo", "split_clients")
_PORTS = {"https": "443", "grpcs": "443"}


def ways(
    written: Sequence[Block], backends: Mapping[str, Collection[str]]
) -> Iterator[tuple[Block, str]]:
    """Where files by hand lead to a backend, or wherever a client says; and which of the two.

    written: their directives, at any depth. backends: as `known` has them.
    """
    used = _variables_asked(written)
    for block in written:
        for target, is_value in _targets(block, used):
            what = _what(target, backends, is_value=is_value)
            if what is not None:
                yield block, what


def known(config: Config, addresses: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """backend → "host:port" and "host" of each of its addresses.

    addresses: what names resolve to.
    """
    found = {}
    for name, backend in config.backends.items():
        hosts = {backend.host, *addresses.get(backend.host, ())}
        hosts = {_host(host) for host in hosts}
        found[name] = frozenset({*hosts, *(f"{host}:{backend.port}" for host in hosts)})
    return found


def refuse_ways_past_keys(
    folder: Path, config: Config, addresses: Mapping[str, Sequence[str]]
) -> None:
    """Raises LintError with every way that is not marked, by file and line."""
    every = parse(folder).everything()
    written = [each for each in every if is_by_hand(Path(each.file), folder)]
    found = [
        f"{block.file}:{block.line}: {what}"
        for block, what in ways(written, known(config, addresses))
        if not _is_meant(block)
    ]
    if found:
        lines = "\n  ".join(found)
        raise LintError(
            f"files written by hand lead past keys and limits:\n  {lines}",
            hint="Send clients to the gateway's own /v1 instead. If it is meant, write"
            f"\n  `{MARK}` at the end of the line.",
        )


def _is_meant(block: Block) -> bool:
    try:
        lines = Path(block.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    at = block.line - 1
    above = lines[at - 1].strip() if at else ""
    return lines[at].rstrip().endswith(MARK) or above == MARK


def _variables_asked(blocks: Sequence[Block]) -> frozenset[str]:
    """The variables that decide what is asked, also by way of other variables."""
    used: set[str] = set()
    texts = [" ".join(each.arguments) for each in blocks if _PASSES.fullmatch(each.name)]
    while texts:
        new = {name for text in texts for name in _VARIABLE.findall(text)} - used
        used |= new
        texts = [
            text for each in blocks for name, text in _assigned(each) if name.strip("${}") in new
        ]
    return frozenset(used)


def _assigned(block: Block) -> Iterator[tuple[str, str]]:
    """The variable that a directive gives a value to, and the value."""
    if block.name == "set" and len(block.arguments) == 2:
        yield block.arguments[0], block.arguments[1]
    elif block.outer is not None and block.outer.name in _TABLES and block.arguments:
        yield block.outer.arguments[-1], block.arguments[-1]


def _targets(block: Block, used: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """What of a directive nginx asks, and whether that is a variable's value, which may be a part
    of an address."""
    in_upstream = block.outer is not None and block.outer.name == "upstream"
    if _PASSES.fullmatch(block.name) or (block.name == "server" and in_upstream):
        for target in block.arguments[:1]:
            yield target, False
    for name, value in _assigned(block):
        if name.strip("${}") in used:
            yield value, True


def _what(target: str, backends: Mapping[str, Collection[str]], *, is_value: bool) -> str | None:
    """What is wrong with asking this, if anything is."""
    match = _AUTHORITY.match(target)
    authority = match[1] if match else ""
    if _FROM_THE_REQUEST.search(authority):
        return "the client chooses the server here: it may reach anything that this machine can"
    scheme, separator, _ = target.partition("://")
    asked = {_address(authority, _PORTS.get(scheme, "80"))}
    if is_value and not separator:
        asked.add(_host(authority))  # a port may be added where it is used
    for name, addresses in backends.items():
        if authority.lower() == name.lower() or asked & set(addresses):  # our upstreams' names
            return f"leads to the backend {name!r} past keys and limits"
    return None


def _address(authority: str, port: str) -> str:
    """ "host:port", as `known` writes it."""
    host, separator, own = authority.rpartition(":")
    if not separator or authority.endswith("]"):
        return f"{_host(authority)}:{port}"
    return f"{_host(host)}:{own}"


def _host(host: str) -> str:
    """All names of this machine as one."""
    host = host.lower().strip("[]")
    return "localhost" if is_ip(host) and is_loopback(f"{host}:0") else host
