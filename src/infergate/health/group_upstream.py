"""The backends of a group that a hand-written nginx names: the inside of an `upstream` block.

    server 192.168.1.101:11434 weight=2;   # a comment
    server gpu2.internal:11434 backup;
    least_conn;

How one of them is picked, and when one that fails is tried again, is the gateway's to decide
(`balance`, `health`): lines and parameters about that are understood, and change nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infergate.config.backends import Backend, FoundBackend
from infergate.health.group_names import GroupUnknown, name_of
from infergate.nginx.snippet import SnippetError, SnippetLine, read_snippet

# https://nginx.org/en/docs/http/ngx_http_upstream_module.html
_WITHOUT_EFFECT = frozenset(
    (
        "zone",
        "state",
        "hash",
        "ip_hash",
        "keepalive",
        "keepalive_requests",
        "keepalive_time",
        "keepalive_timeout",
        "ntlm",
        "least_conn",
        "least_time",
        "queue",
        "random",
        "resolver",
        "resolver_timeout",
        "sticky",
        "sticky_cookie_insert",
        "check",
    )
)  # check: of nginx with its module for active checks
_OUT_OF_SERVICE = ("down", "drain")
_PARAMETERS_WITHOUT_EFFECT = frozenset(
    ("max_fails", "fail_timeout", "slow_start", "resolve", "route", "service")
)
_NUMBERS = {"weight": "weight", "max_conns": "max_in_flight"}


def read_upstream(group: str, path: Path) -> tuple[tuple[FoundBackend, ...], tuple[Path, ...]]:
    """The backends, and the files that were read.

    A server that is `down` is left out; one that is there twice has both weights.
    Raises GroupUnknown, with the line.
    """
    try:
        snippet = read_snippet(path, "upstream")
    except SnippetError as problem:
        said = str(problem)
        why = said if said.startswith(path.name) else f"{path.name}, {said}"
        raise GroupUnknown(why, problem.files) from None
    found: dict[str, FoundBackend] = {}
    servers = 0
    for line in snippet.lines:
        where = f"{path.name}, {line.place}"
        if line.words[0] == "server" and len(line.words) > 1:
            servers += 1
            backend = _backend(group, line, where, snippet.files)
            if backend is not None:
                twice = found.get(backend.name)
                found[backend.name] = backend if twice is None else _both(twice, backend)
        elif line.words[0] not in _WITHOUT_EFFECT:
            raise GroupUnknown(f"{where}: nothing that stands in an upstream", snippet.files)
    if not servers:  # nginx refuses it too, and a file that is written anew is empty for a moment
        raise GroupUnknown(f"{path.name} names no server", snippet.files)
    return tuple(found.values()), snippet.files


def _backend(
    group: str, line: SnippetLine, where: str, files: tuple[Path, ...]
) -> FoundBackend | None:
    _, address, *parameters = line.words
    settings: dict[str, Any] = {"url": f"http://{address}"}
    out_of_service = False
    for each in parameters:
        name, _, value = each.partition("=")
        if each in _OUT_OF_SERVICE:
            out_of_service = True
        elif each == "backup":
            settings["backup"] = True
        elif name in _NUMBERS and value.isdecimal():
            settings[_NUMBERS[name]] = None if each == "max_conns=0" else int(value)  # no limit
        elif name not in _PARAMETERS_WITHOUT_EFFECT:
            raise GroupUnknown(f"{where}: {name} is no parameter of a server", files)
    if address.startswith("unix:"):
        raise GroupUnknown(f"{where}: a backend is asked over TCP, not by a unix socket", files)
    try:
        at = Backend(url=settings["url"])
        settings["name"] = name_of(group, f"{at.host}-{at.port}")
        backend = FoundBackend.model_validate(settings)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        field = f"{first['loc'][0]}: " if first["loc"] else ""
        message = field + first["msg"].removeprefix("Value error, ")
        raise GroupUnknown(f"{where}: {message}", files) from None
    return None if out_of_service else backend


def _both(one: FoundBackend, other: FoundBackend) -> FoundBackend:
    return one.model_copy(update={"weight": (one.weight or 1) + (other.weight or 1)})
