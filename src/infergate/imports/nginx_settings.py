"""Directives that say how requests are treated: limits, networks, times. In a server or a location
with models they are the gateway's; in a location of a service, that service's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infergate.config.addresses import Network
from infergate.config.types import size_bytes
from infergate.imports.draft import Draft, seconds_text
from infergate.imports.nginx_known import ADDED, HEADERS, HTTP_ONLY, QUIET, READ_ELSEWHERE
from infergate.imports.nginx_parts import Parts
from infergate.imports.nginx_read import Directive
from infergate.imports.values import seconds, whole


def read_settings(
    block: Sequence[Directive], where: dict[str, Any], parts: Parts, draft: Draft
) -> None:
    """where: the draft's settings, or a service's section."""
    gateway = where is draft.settings
    limits = where.setdefault("limits", {}) if gateway else where
    _networks(block, where.setdefault("access", {}), draft, gateway=gateway)
    for each in block:
        name = each.name
        if _is_read_elsewhere(each):
            continue
        if name in ("limit_req", "limit_conn"):
            _limit(each, limits, parts, draft)
        elif name == "client_max_body_size":
            _body(each, limits, draft, gateway=gateway)
        elif name in ("proxy_connect_timeout", "proxy_read_timeout"):
            _timeout(each, where, draft, gateway=gateway)
        elif name in ("proxy_next_upstream", "proxy_next_upstream_tries"):
            _retries(each, draft)
        elif name == "set_real_ip_from":
            _proxies(each, draft)
        elif name == "add_header":
            _header(each, draft)
        elif name == "proxy_set_header":
            if each.first.lower() not in HEADERS | {"authorization"}:
                draft.lost(each.place, f"proxy_set_header {each.first} is not sent to backends")
        elif name == "auth_basic" or (name == "auth_basic_user_file" and not gateway):
            if gateway and each.first != "off":
                draft.lost(each.place, "auth_basic: callers of models have keys")
        elif name == "proxy_cache":
            draft.lost(each.place, f"proxy_cache {each.first}: see `cache` of models and services")
        elif name != "auth_basic_user_file":
            draft.lost(each.place, f"{name} is not understood")  # its arguments may be secrets


def _is_read_elsewhere(each: Directive) -> bool:
    """Or says nothing that the gateway would not do by itself."""
    name = each.name
    return (
        name in READ_ELSEWHERE
        or name in QUIET
        or name in HTTP_ONLY
        or name in ("allow", "deny")
        or name.startswith("access_by_")
        # As the gateway does where it has https.
        or (name == "return" and bool(each.args) and "https://" in each.args[-1])
    )


def _networks(
    block: Sequence[Directive], access: dict[str, Any], draft: Draft, *, gateway: bool
) -> None:
    """`allow` says something only before `deny all`."""
    denies_others = any(each.name == "deny" and each.first == "all" for each in block)
    for each in block:
        if each.name not in ("allow", "deny") or each.first == "all":
            continue
        if each.name == "allow" and not denies_others:
            draft.wrong(each.place, f"allow {each.first} without deny all lets everybody in")
            continue
        try:
            network = str(TypeAdapter(Network).validate_python(each.first))
        except ValidationError:
            draft.lost(each.place, f"{each.name} {each.first} is no network")
            continue
        known = access.setdefault(each.name, [])
        if network not in known:
            known.append(network)
        if gateway:
            what = f"{each.name} {each.first} holds for the whole gateway; services have `access`"
            draft.yours(each.place, what)


def _limit(each: Directive, limits: dict[str, Any], parts: Parts, draft: Draft) -> None:
    options = dict(arg.partition("=")[::2] for arg in each.args)
    name = options.get("zone", each.first)
    zone = parts.zones.get(name)
    if zone is None:
        draft.lost(each.place, f"{each.name}: zone {name} is nowhere in these files")
        return
    zone.used = True
    if not zone.is_of_addresses:
        draft.yours(
            each.place,
            f"{each.name} by {zone.key} {zone.rate}: give keys limits (`infergate keys set --rpm`)",
        )
        return
    per_ip: dict[str, Any] = limits.setdefault("per_ip", {})
    if each.name == "limit_conn":
        if (most := whole(each.args[-1])) is not None:
            per_ip["connections"] = min(most, 65_535)
        return
    burst = options.get("burst", "0")
    per_ip["rate"] = zone.rate
    per_ip["burst"] = min(int(burst), 100_000) if burst.isdigit() else 0


def _body(each: Directive, limits: dict[str, Any], draft: Draft, *, gateway: bool) -> None:
    try:
        size = size_bytes(each.first)
    except ValueError:
        draft.lost(each.place, f"client_max_body_size {each.first} is no size")
        return
    if not gateway:
        limits["max_body"] = size  # 0 is no limit, there as here
        return
    if not 1024 <= size <= 1024**3:
        draft.yours(each.place, f"client_max_body_size {each.first}: 1k to 1G here")
    size = min(max(size or 1024**3, 1024), 1024**3)
    limits["max_body"] = max(limits.get("max_body", 0), size)


def _timeout(each: Directive, where: dict[str, Any], draft: Draft, *, gateway: bool) -> None:
    value = seconds(each.first)
    if value is None:
        draft.lost(each.place, f"{each.name} {each.first} is no duration")
    elif not gateway:
        if each.name == "proxy_read_timeout":
            where["idle"] = seconds_text(min(max(value, 1), 86400))
    elif each.name == "proxy_connect_timeout":
        where.setdefault("timeouts", {})["connect"] = seconds_text(min(value, 75))
    else:
        timeouts = where.setdefault("timeouts", {})
        for name in ("first_byte", "idle"):
            known = seconds(timeouts.get(name)) or 0
            timeouts[name] = seconds_text(max(known, min(value, 86400)))


def _retries(each: Directive, draft: Draft) -> None:
    if each.first == "off":
        draft.section("retries")["attempts"] = 1
    elif (tries := whole(each.first)) is not None:
        draft.section("retries")["attempts"] = min(tries, 4)


def _proxies(each: Directive, draft: Draft) -> None:
    try:
        network = str(TypeAdapter(Network).validate_python(each.first))
    except ValidationError:
        draft.lost(each.place, f"set_real_ip_from {each.first} is no network")
        return
    known = draft.section("access").setdefault("trusted_proxies", [])
    if network not in known:
        known.append(network)


def _header(each: Directive, draft: Draft) -> None:
    name = each.first.lower()
    if name == "strict-transport-security":
        found = re.search(r"max-age=(\d{1,9})", " ".join(each.args))
        if found and draft.settings.get("tls"):
            draft.section("tls")["hsts"] = {"max_age": int(found[1])}
    elif name not in ADDED:
        draft.lost(each.place, f"add_header {each.first} is not added")
