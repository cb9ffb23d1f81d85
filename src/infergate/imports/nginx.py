"""Hand-written nginx files: what stands in `http`, and what parts of files are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from infergate.imports.draft import Draft
from infergate.imports.nginx_check import CHECK, read_check
from infergate.imports.nginx_known import HTTP_ONLY, IN_UPSTREAM, NOT_IN_HTTP
from infergate.imports.nginx_parts import ImportedUpstream, ImportedZone, Map, Parts
from infergate.imports.nginx_read import Directive, NginxFiles
from infergate.imports.nginx_server import read_server
from infergate.nginx.snippet import SnippetLine
from infergate.state.keys_file import keys_in

_BEARER = re.compile(r"(?i)bearer\s+\S+")
_BEARER_BEFORE = re.compile(r"(?i)^bearer\s+")
_BODY = re.compile(r"\brequest(?:Buffer|Text|Body)\b")
_KEY_SOURCE = re.compile(r"\$http_(authorization|\w*api_?key\w*|\w*token\w*)")
_OURS = ("authorization", "x_api_key", "api_key")
"""Headers in which the gateway looks for keys (njs/admit.js)."""
_OFF = ("0", "")


def read_nginx(paths: Sequence[Path], draft: Draft, folder: Path) -> None:
    """Put what nginx files say into the draft. folder: of the YAML, for paths in it.

    Raises UserError for a file that is not nginx's.
    """
    scripts = [path for path in paths if path.suffix == ".js"]
    files = NginxFiles([path for path in paths if path not in scripts], draft)
    trees = {path: files.tree(path) for path in paths if path not in scripts}
    parts = Parts(
        reads_body=any(_BODY.search(path.read_text("utf-8", "replace")) for path in scripts)
    )
    servers: list[Directive] = []
    loose: list[Directive] = []
    for path, tree in trees.items():
        if path in files.used:
            continue
        if _is_inside_of_a_map(tree):
            _keys_file(path, tree, draft, folder)
        elif _is_inside_of_an_upstream(tree):
            _servers_file(path, draft, folder)
        else:
            found = list(_http(tree, draft))
            servers += [each for each in found if each.name == "server"]
            loose += [each for each in found if each.name != "server"]
    outside = _collect(loose, parts, draft, folder)
    for each in (one for server in servers for one in server.block or ()):
        if each.name in HTTP_ONLY:  # that it stands in the wrong place is told with its server
            define(each, parts, draft, folder)
    http = [each for each in loose if each not in outside]
    if outside and servers:
        draft.yours(outside[0].place, "what stands outside server is taken into the first one")
    for number, server in enumerate(servers):
        read_server(server, outside if number == 0 else [], http, parts, draft)
    if loose and not servers:
        around = Directive("server", (), (), loose[0].file, loose[0].line)
        read_server(around, outside, http, parts, draft, is_part=True)
    _unused(parts, draft, folder)
    _balance(parts, draft)
    _own_hosts(draft)


def _own_hosts(draft: Draft) -> None:
    """A service needs a name that the API does not have; nginx told them apart by path."""
    taken = draft.settings.get("listen", {}).get("hosts", [])
    for name, service in draft.settings.get("services", {}).items():
        if service.get("host") in taken:
            service["host"] = f"{name}.{service['host']}".replace("_", "-")
            draft.yours(f"services.{name}", f"needs a host name of its own, here {service['host']}")


def _balance(parts: Parts, draft: Draft) -> None:
    """Where no model is named, how one of its backends is picked is said of all models."""
    said = [each for each in parts.upstreams.values() if each.balance and each.backends]
    if said and not draft.settings.get("models"):
        backends = [name for each in parts.upstreams.values() for name in each.backends]
        draft.model("*", *backends)["balance"] = said[0].balance
        draft.comment(f"as upstream {said[0].name} had it", "models", "*")


def _http(tree: Sequence[Directive], draft: Draft) -> Iterator[Directive]:
    for each in tree:
        if each.name == "http" and each.block is not None:
            yield from each.block
        elif each.name in ("stream", "mail") and each.block is not None:
            draft.lost(each.place, f"{each.name} {{ }}: only http is relayed here")
        elif each.name == "worker_processes":
            if each.first.isdigit() and 1 <= int(each.first) <= 1024:
                draft.settings["workers"] = int(each.first)
        else:
            yield each


def _is_inside_of_a_map(tree: Sequence[Directive]) -> bool:
    keys = [each for each in tree if _BEARER.fullmatch(each.name)]
    return bool(keys) and all(each.block is None for each in tree)


def _is_inside_of_an_upstream(tree: Sequence[Directive]) -> bool:
    servers = [each for each in tree if each.name == "server"]
    return bool(servers) and all(each.block is None for each in tree)


def _keys_file(path: Path, lines: Sequence[Directive], draft: Draft, folder: Path) -> None:
    """One that stays where it is: what is added to it counts within a second."""
    draft.section("auth")["keys_file"] = os.path.relpath(path, folder)
    draft.comment("read as it stands, and again whenever it changes", "auth", "keys_file")
    draft.wrong(path.name, f"keys in clear ({len(lines)}): `infergate keys import` keeps hashes")


def _servers_file(path: Path, draft: Draft, folder: Path, name: str | None = None) -> str:
    wanted = name or path.stem.removeprefix("upstream_").removesuffix(".conf") or "servers"
    group = draft.backend(wanted, {"discover": {"file": os.path.relpath(path, folder)}})
    draft.comment("read as it stands, and again whenever it changes", "backends", group)
    return group


def _collect(
    loose: Sequence[Directive], parts: Parts, draft: Draft, folder: Path
) -> list[Directive]:
    """Definitions into parts; what belongs into a server comes back."""
    outside: list[Directive] = []
    for each in loose:
        if not define(each, parts, draft, folder) and each.name in NOT_IN_HTTP:
            if each.name == "location":
                draft.wrong(
                    each.place,
                    f"location {' '.join(each.args)} stands outside server: nginx refuses it",
                )
            outside.append(each)
    return outside


def define(each: Directive, parts: Parts, draft: Draft, folder: Path) -> bool:
    """Whether it defines something for the whole of http; it is kept in parts then."""
    if each.name == "upstream" and each.block is not None:
        parts.upstreams[each.first] = _upstream(each, draft, folder)
    elif each.name == "map" and each.block is not None and len(each.args) == 2:
        _map(each, parts, draft, folder)
    elif each.name in ("limit_req_zone", "limit_conn_zone"):
        options = dict(arg.partition("=")[::2] for arg in each.args[1:])
        name = options.get("zone", "").partition(":")[0]
        parts.zones[name] = ImportedZone(each.first, options.get("rate", ""), each.place)
    elif each.name == "log_format":
        draft.lost(
            each.place,
            f"log_format {each.first}: the access log is lines of JSON, with key, model, backend, "
            "tokens and times",
        )
    elif each.name == "js_set":
        parts.scripts[each.first] = each
    elif each.name in ("js_import", "js_include", "js_path"):
        parts.imports_scripts = True
    elif each.name.startswith("proxy_cache_path"):
        draft.lost(each.place, "proxy_cache_path: see `cache` of models and services")
    else:
        return False
    return True


def _upstream(each: Directive, draft: Draft, folder: Path) -> ImportedUpstream:
    block = each.block or ()
    servers = [one for one in block if one.name == "server"]
    included = {one.file for one in servers if one.file != each.file}
    upstream = ImportedUpstream(each.first, servers, place=each.place)
    if len(included) == 1 and all(one.file in included for one in servers):
        upstream.file = os.path.relpath(next(iter(included)), folder)
    for one in block:
        if one.name in ("least_conn", "ip_hash"):
            upstream.balance = one.name
        elif one.name in ("hash", "random", "least_time", "sticky"):
            draft.yours(one.place, f"{one.name}: least_busy, prefix or session comes near")
        elif one.name in CHECK:
            read_check(one, upstream, draft)
        elif one.name not in IN_UPSTREAM:
            draft.lost(one.place, f"{one.name} is not known in upstream")
    return upstream


def _map(each: Directive, parts: Parts, draft: Draft, folder: Path) -> None:
    source, variable = each.args
    lines = [one for one in each.block or () if one.name not in ("hostnames", "volatile")]
    parts.maps[variable] = Map(source, {one.name: one.first for one in lines}, each.place)
    found = _KEY_SOURCE.fullmatch(source)
    if found is None:
        return
    parts.key_variables.add(variable)
    elsewhere = {one.file for one in lines if one.file != each.file}
    secrets = [one for one in lines if one.name != "default" and one.first not in _OFF]
    is_bearer = bool(secrets) and all(_BEARER.fullmatch(one.name) for one in secrets)
    if is_bearer and len(elsewhere) == 1 and all(one.file in elsewhere for one in secrets):
        _keys_file(next(iter(elsewhere)), secrets, draft, folder)
        return
    if secrets and not (is_bearer and found[1] == "authorization") and found[1] not in _OURS[1:]:
        header = found[1].replace("_", "-")
        draft.yours(
            each.place,
            f"keys came in {header}{' without Bearer' * (header == 'authorization')}; here in "
            "Authorization: Bearer, x-api-key or api-key",
        )
    _keys(each, secrets, draft)


def _keys(each: Directive, secrets: Sequence[Directive], draft: Draft) -> None:
    """Each line's key, named by what the map makes of it, or by its comment."""
    lines = []
    for one in secrets:
        secret = _BEARER_BEFORE.sub("", one.name)
        if one.name.startswith("~") or not secret or re.search(r"\s", secret):
            draft.lost(one.place, "a pattern, or something else than a key, stands among the keys")
            continue
        name = one.comment if one.first == "1" else one.first
        lines.append(SnippetLine((f"Bearer {secret}", "1"), name, f"line {one.line}"))
    keys = keys_in(lines, each.file.name)
    for key in keys:
        draft.key(key.name, key.hash)
    if keys:
        draft.wrong(
            each.place,
            f"keys in clear ({len(keys)}): here are their hashes; the original still has them",
        )


def _unused(parts: Parts, draft: Draft, folder: Path) -> None:
    """Definitions of a file that is a part: no server of it says what they are for."""
    for upstream in parts.upstreams.values():
        if not upstream.backends and not upstream.is_service:
            if upstream.file is not None:
                group = _servers_file(folder / upstream.file, draft, folder, upstream.name)
                upstream.backends = [group]
            else:
                parts.backends_of(upstream, draft)
                draft.yours(upstream.place, f"upstream {upstream.name} is used nowhere: a backend")
    for name, zone in parts.zones.items():
        if not zone.used:
            draft.lost(zone.place, f"zone {name} is used nowhere")
