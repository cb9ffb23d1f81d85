"""One `server` of nginx: where it listens, who may come in, and what its locations are here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from infergate.config.addresses import Host
from infergate.imports.draft import Draft
from infergate.imports.nginx_known import HTTP_ONLY
from infergate.imports.nginx_location import read_location
from infergate.imports.nginx_parts import AUTHORIZATION, Parts
from infergate.imports.nginx_read import Directive
from infergate.imports.nginx_settings import read_settings
from infergate.imports.values import declare_keys

_BEARER = re.compile(r"(?i)bearer\s+(\S+)")
_OWN = ("location", "if", "server", "listen", "server_name")
_REFUSAL = re.compile(r"4\d\d")


def read_server(
    server: Directive,
    outside: Sequence[Directive],
    http: Sequence[Directive],
    parts: Parts,
    draft: Draft,
    *,
    is_part: bool = False,
) -> None:
    """Put a server into the draft.

    outside: what stood outside of any server and belongs into one. http: what holds for all
    servers. is_part: there was no server around it.
    """
    block = [*http, *(server.block or ()), *outside]
    whole_ = Directive("server", (), tuple(block), server.file, server.line)
    _misplaced(server, draft)
    hosts = _hosts(server, draft)
    secure = _listen(server, draft, is_part=is_part)
    _tls(whole_, hosts, secure, draft)
    asks = _asks_for_keys(server.block or (), parts, draft)
    locations = [each for each in block if each.name == "location" and each.block is not None]
    common = [each for each in block if each.name not in _OWN]
    read_settings(common, draft.settings, parts, draft)
    has_models, open_to_all = False, []
    for each in locations:
        asked = _asks_for_keys(each.block or (), parts, draft) or asks
        behind = read_location(each, whole_, hosts, parts, draft)
        if behind is None:
            continue
        where = draft.settings if behind.service is None else behind.service
        read_settings(each.block or (), where, parts, draft)
        if behind.relays and behind.service is None:
            has_models = True
            open_to_all += [] if asked else [" ".join(each.args)]
    if open_to_all and not is_part:
        draft.wrong(
            server.place,
            f"no key is asked at {', '.join(open_to_all)}: whoever reaches it may use the models; "
            "here keys are needed (`infergate keys create`)",
        )
    if hosts and has_models:
        known = draft.section("listen").setdefault("hosts", [])
        known.extend(host for host in hosts if host not in known)
        draft.comment("requests for other names are refused", "listen", "hosts")
    if has_models and not secure and not is_part and "tls" not in draft.settings:
        draft.wrong(server.place, "no TLS: keys and prompts go in clear (docs/tls.md)")


def _misplaced(server: Directive, draft: Draft) -> None:
    for each in server.block or ():
        if each.name in HTTP_ONLY:
            how = f"{each.name} {each.first}".strip()
            where = f" (by include of {each.file.name})" if each.file != server.file else ""
            draft.wrong(each.place, f"{how} stands inside server{where}: nginx refuses it")


def _hosts(server: Directive, draft: Draft) -> list[str]:
    found = []
    for each in server.all("server_name"):
        for name in each.args:
            if name in ("_", "", "localhost"):
                continue
            try:
                found.append(str(TypeAdapter(Host).validate_python(name)))
            except ValidationError:
                draft.lost(each.place, f"server_name {name} is no name of a host")
    return found


def _listen(server: Directive, draft: Draft, *, is_part: bool) -> bool:
    """Whether it has TLS. The first port of each kind is the gateway's."""
    secure = False
    found = list(server.all("listen"))
    if not found and not is_part and _relays(server):
        draft.section("listen").setdefault("http", 80)
    for each in found:
        is_tls = "ssl" in each.args or server.value("ssl") == "on"
        secure = secure or is_tls
        address, _, port = each.first.rpartition(":")
        if address == "[::" or address == "[::]":
            address = ""
        if not port.isdigit():
            draft.lost(each.place, f"listen {each.first} is no port")
            continue
        value = f"{address}:{port}" if address and address != "*" else int(port)
        kind = "https" if is_tls else "http"
        known = draft.section("listen").setdefault(kind, value)
        if known != value:
            draft.lost(each.place, f"listen {each.first}: the gateway has one {kind} port, {known}")
    return secure


def _relays(server: Directive) -> bool:
    return any(list(each.all("proxy_pass")) for each in server.all("location"))


def _tls(server: Directive, hosts: list[str], secure: bool, draft: Draft) -> None:
    certificate, key = server.value("ssl_certificate"), server.value("ssl_certificate_key")
    if not secure:
        return
    tls = draft.section("tls")
    if certificate is None or key is None or "$" in certificate + key:
        if not tls:
            draft.wrong(server.place, "listen ssl without ssl_certificate: no handshake works")
            tls["self_signed"] = True
    else:
        files = {"certificate": certificate, "key": key}
        if not (server.file.parent / certificate).is_file():
            draft.yours(server.place, f"{certificate} is not on this machine")
        if "files" not in tls:
            tls["files"] = files
            draft.comment("or from Let's Encrypt: acme: { email: … }", "tls", "files")
        elif tls["files"] != files:
            for host in hosts:
                tls.setdefault("hosts", {})[host] = {"files": files}
    protocols = [arg for each in server.all("ssl_protocols") for arg in each.args]
    if {"SSLv3", "TLSv1", "TLSv1.1"} & set(protocols):
        draft.wrong(server.place, "ssl_protocols allows TLS below 1.2, which is broken")
    if protocols == ["TLSv1.3"]:
        tls["profile"] = "modern"


def _asks_for_keys(block: Sequence[Directive], parts: Parts, draft: Draft) -> bool:
    """Whether it refuses requests that have no good key: if ($api_key_valid = 0) { return 401; }"""
    found = False
    for each in block:
        if each.name == "auth_request" and each.first != "off":
            found = True
            draft.yours(each.place, "auth_request said who may come in; here callers have keys")
        elif each.name.startswith("access_by_"):
            found = True
            draft.lost(each.place, f"{each.name}: a script said who may come in; here keys do")
        if each.name != "if" or each.block is None:
            continue
        variable = each.first.strip("()")
        refuses = any(one.name == "return" and _REFUSAL.fullmatch(one.first) for one in each.block)
        about_keys = variable in parts.key_variables or variable == AUTHORIZATION
        if not refuses or not (about_keys or re.search(r"key|auth|token|valid", variable)):
            draft.lost(each.place, f"if ({variable} …) is not understood")
            continue
        found = True
        key = _BEARER.fullmatch(each.args[-1].strip("()\"'")) if each.args else None
        if variable == AUTHORIZATION and each.args[1:2] == ("!=",) and key:
            declare_keys(draft, [key[1]], [f"{each.file.stem}-{each.line}"], each.place)
        elif not draft.settings.get("auth"):
            draft.yours(each.place, f"{variable} says who has a key: give its map, too")
    return found
