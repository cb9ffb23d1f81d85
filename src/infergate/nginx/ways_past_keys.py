"""Ways to a backend in nginx files written by hand: whoever takes one passes by keys and limits.

They are found where an address is written, not where it is used: nginx may be led there through an
upstream, a variable, a map or a file that is included. Where it is put together of several, it is
found where it is used.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path

from infergate.config.root import Config
from infergate.errors import LintError
from infergate.nginx.lint import NginxBlock, is_by_hand, parse

MARK = "# infergate: past-keys"
"""In a line, or in the one above it: its writer means it."""

_FROM_THE_REQUEST = re.compile(r"(?:host|http_\w+|arg_\w+|args|query_string|cookie_\w+|\d)")
_CAPTURE = re.compile(r"\(\?P?[<'](\w+)[>']")
_SCHEME = ("http", "https")
"""The values of $scheme."""
_MOST_VALUES = 1000
"""That one address with variables is looked at with."""
_AUTHORITY = re.compile(r"(?:[a-z]+://)?([^/]*?)(?:\$(?:request_uri|uri|document_uri)\b|/|$)")
"""Of a URL or an address. These variables begin with '/', so the host ends before them."""
_PASSES = re.compile(r"(?:proxy|grpc|fastcgi|uwsgi|scgi|memcached)_pass")
_VARIABLE = re.compile(r"\$\{?(\w+)")
_TABLES = ("map", "geo", "split_clients")
_PORTS = {"https": "443", "grpcs": "443"}


def ways(
    written: Sequence[NginxBlock], backends: Mapping[str, Collection[str]]
) -> Iterator[tuple[NginxBlock, str]]:
    """Where files by hand lead to a backend, or wherever a client says; and which of the two.

    written: their directives, at any depth. backends: as `known` has them.
    """
    values = _values(written)
    passes = " ".join(each.arguments[0] for each in written if _PASSES.fullmatch(each.name))
    used = _reached(passes, values)
    captured = frozenset(
        name
        for each in written
        for text in (each.name, *each.arguments)
        for name in _CAPTURE.findall(text)
    )
    told: set[str | None] = set()
    for block in written:
        for target, variable in _targets(block, used):
            what = _what(target, backends, captured, is_value=variable is not None)
            if what is not None:
                told.add(variable)
                yield block, what
    for block in written:
        if not _PASSES.fullmatch(block.name) or told & _reached(block.arguments[0], values):
            continue
        if _what(block.arguments[0], backends, captured, is_value=False) is not None:
            continue  # it is told above
        for each in _expanded(block.arguments[0], values):
            what = _what(each, backends, captured, is_value=False, is_whole=True)
            if what is not None:
                yield block, what
                break


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


def _is_meant(block: NginxBlock) -> bool:
    try:
        lines = Path(block.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    at = block.line - 1
    above = lines[at - 1].strip() if at else ""
    return lines[at].rstrip().endswith(MARK) or above == MARK


def _reached(text: str, values: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The variables that decide what it is, also by way of other variables."""
    found: set[str] = set()
    texts = [text]
    while texts:
        new = {name for each in texts for name in _VARIABLE.findall(each)} - found
        found |= new
        texts = [value for name in new for value in values.get(name, ())]
    return frozenset(found)


def _assigned(block: NginxBlock) -> Iterator[tuple[str, str]]:
    """The variable that a directive gives a value to, and the value."""
    if block.name == "set" and len(block.arguments) == 2:
        yield block.arguments[0], block.arguments[1]
    elif block.outer is not None and block.outer.name in _TABLES and block.arguments:
        yield block.outer.arguments[-1], block.arguments[-1]


def _values(blocks: Sequence[NginxBlock]) -> dict[str, list[str]]:
    """variable → what it may be, as written."""
    found: dict[str, list[str]] = {"scheme": list(_SCHEME)}
    for block in blocks:
        for name, value in _assigned(block):
            found.setdefault(name.strip("${}"), []).append(value)
    return found


def _expanded(text: str, values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What it may be with the values of variables that are given one; others stay."""

    def each_of(texts: Sequence[str], outer: frozenset[str]) -> Iterator[str]:
        return (each for text in texts for each in of(text, outer))

    def of(text: str, outer: frozenset[str]) -> Iterator[str]:
        parts = re.split(r"(\$\{\w+\}|\$\w+)", text)
        names = [each.strip("${}") for each in parts[1::2]]
        choices = [
            list(islice(each_of(values[name], outer | {name}), _MOST_VALUES))
            if name in values and name not in outer
            else [f"${name}"]
            for name in names
        ]
        for chosen in product(*choices):
            yield parts[0] + "".join(
                value + after for value, after in zip(chosen, parts[2::2], strict=True)
            )

    return islice(of(text, frozenset()), _MOST_VALUES)


def _targets(block: NginxBlock, used: frozenset[str]) -> Iterator[tuple[str, str | None]]:
    """What of a directive nginx asks, and the variable whose value that is, which may be a part of
    an address."""
    in_upstream = block.outer is not None and block.outer.name == "upstream"
    if _PASSES.fullmatch(block.name) or (block.name == "server" and in_upstream):
        for target in block.arguments[:1]:
            yield target, None
    for name, value in _assigned(block):
        if (variable := name.strip("${}")) in used:
            yield value, variable


def _what(
    target: str,
    backends: Mapping[str, Collection[str]],
    captured: frozenset[str],
    *,
    is_value: bool,
    is_whole: bool = False,
) -> str | None:
    """What is wrong with asking this, if anything is.

    is_value: of a variable. is_whole: all that is known of variables was put in.
    """
    match = _AUTHORITY.match(target)
    authority = match[1] if match else ""
    unknown = _VARIABLE.findall(authority)
    if any(_FROM_THE_REQUEST.fullmatch(each) or each in captured for each in unknown):
        return "the client chooses the server here: it may reach anything that this machine can"
    if is_whole and unknown:
        return f"what ${unknown[0]} is cannot be known here: it may lead past keys and limits"
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
    return f"{_host(host)}:{int(own) if own.isdecimal() else own}"


def _host(host: str) -> str:
    """All names of this machine as one, and all spellings of an address: 127.1 is 127.0.0.1."""
    host = host.lower().strip("[]").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if re.fullmatch(r"[\dx][\da-fx.]*", host) is None:
            return host
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # as getaddrinfo(3) reads it
        except (OSError, ValueError):
            return host
    address = getattr(address, "ipv4_mapped", None) or address
    return "localhost" if address.is_loopback or address.is_unspecified else str(address)
