"""Olla's config.yaml (https://github.com/thushan/olla, docs/content/configuration)."""

from __future__ import annotations

import re
from typing import Any

from infergate.imports.draft import Draft, seconds_text
from infergate.imports.values import (
    address_of,
    items,
    mapping,
    rest,
    seconds,
    usable_url,
    variable,
    whole,
)
from infergate.kinds import KINDS, OTHER

_ENGINES = {
    each: kind.name
    for kind in KINDS.values()
    if kind.name != OTHER
    for each in (kind.name, *kind.also)
}
_BALANCES = {
    "round_robin": "round_robin",
    "round-robin": "round_robin",
    "least_conn": "least_conn",
    "least-connections": "least_conn",
    "least_connections": "least_conn",
}
_LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_KNOWN = (
    "url",
    "auth",
    "name",
    "type",
    "priority",
    "health_check_url",
    "model_url",
    "check_interval",
    "check_timeout",
    "model_filter",
)


_OF_PROXY = (
    *("engine", "profile", "load_balancer", "connection_timeout", "response_timeout"),
    *("read_timeout", "response_header_timeout", "tls_handshake_timeout", "connection_keep_alive"),
    *("max_retries", "retry", "retry_backoff", "sticky_sessions", "stream_buffer_size"),
)


def is_olla(data: dict[str, Any]) -> bool:
    return "discovery" in data and ("proxy" in data or "server" in data or "static" in str(data))


def read_olla(data: dict[str, Any], file: str, draft: Draft) -> None:
    """Put what it says into the draft."""
    proxy, discovery = mapping(data.get("proxy")), mapping(data.get("discovery"))
    _server(mapping(data.get("server")), file, draft)
    endpoints = [mapping(each) for each in items(mapping(discovery.get("static")).get("endpoints"))]
    balance = str(proxy.get("load_balancer", "priority"))
    _endpoints(endpoints, balance == "priority", f"{file}, discovery.static", draft)
    if str(discovery.get("type", "static")) != "static":
        draft.lost(file, f"discovery.type {discovery['type']}: only static is known")
    if balance in _BALANCES and draft.settings.get("backends"):
        draft.model("*", *draft.settings["backends"])["balance"] = _BALANCES[balance]
    elif balance != "priority":
        draft.lost(file, f"proxy.load_balancer {balance}: work is what there is by default")
    _proxy(proxy, file, draft)
    quiet = (
        "server",
        "proxy",
        "discovery",
        "logging",
        "engineering",
        "model_registry",
        "dashboard",
    )
    for name in rest(data, quiet):
        draft.lost(f"{file}, {name}", f"{name} has no counterpart here")
    draft.yours(
        file,
        "clients of /olla/… ask /v1/… (OpenAI) or /api/… (Ollama) here, and go by the model alone",
    )
    draft.wrong(file, "no keys: whoever reaches it may use it; here keys are needed")


def _server(server: dict[str, Any], file: str, draft: Draft) -> None:
    port, host = whole(server.get("port")) or 40114, str(server.get("host", "localhost"))
    address: int | str = port
    if host in _LOOPBACK:
        address = f"127.0.0.1:{port}"
    draft.section("listen")["http"] = address
    limits = mapping(server.get("rate_limits"))
    if (everybody := whole(limits.get("global_requests_per_minute"))) is not None:
        draft.section("limits")["requests_per_minute"] = everybody
    if (one := whole(limits.get("per_ip_requests_per_minute"))) is not None:
        burst = whole(limits.get("burst_size")) or 20
        draft.section("limits")["per_ip"] = {"rate": f"{one}r/m", "burst": burst}
    body = whole(mapping(server.get("request_limits")).get("max_body_size"))
    if body is not None:
        draft.section("limits")["max_body"] = min(max(body, 1024), 1024**3)
    if limits.get("trust_proxy_headers"):
        cidrs = [str(each) for each in items(limits.get("trusted_proxy_cidrs"))]
        draft.section("access")["trusted_proxies"] = cidrs
        draft.yours(file, "trusted_proxies: name the proxies alone, not whole private networks")


def _endpoints(
    endpoints: list[dict[str, Any]], by_priority: bool, place: str, draft: Draft
) -> None:
    priorities = [whole(each.get("priority")) or 100 for each in endpoints]
    ranks = sorted(set(priorities), reverse=True)  # theirs is the highest first, ours the lowest
    pace = {
        name: [seconds(each.get(name)) for each in endpoints]
        for name in ("check_interval", "check_timeout")
    }
    alike = {name for name, found in pace.items() if len(set(found)) == 1}
    for number, (each, priority) in enumerate(zip(endpoints, priorities, strict=True), start=1):
        where = f"{place} {number}"
        url = usable_url(each.get("url"))
        if url is None:
            draft.lost(where, "its url cannot be used")
            continue
        settings: dict[str, Any] = {"url": url}
        kind = str(each.get("type", "auto"))
        if kind in _ENGINES:
            settings["engine"] = _ENGINES[kind]
        if by_priority and priority < ranks[0]:
            settings["priority"] = min(ranks.index(priority), 9)
        if secret := _token(mapping(each.get("auth")), where, each, draft):
            settings["api_key"] = secret
        for name in pace.keys() - alike:
            if (value := seconds(each.get(name))) is not None:
                settings[name] = seconds_text(value)
        models = mapping(each.get("model_filter"))
        if left := {
            name: items(models[name]) for name in ("include", "exclude") if models.get(name)
        }:
            settings["model_filter"] = left
        draft.backend(str(each.get("name") or address_of(url)), settings)
        for name in rest(each, _KNOWN):
            draft.lost(where, f"{name} has no counterpart here")
    for theirs, ours in (("check_interval", "interval"), ("check_timeout", "timeout")):
        if theirs in alike and (value := pace[theirs][0]) is not None:
            draft.section("health")[ours] = seconds_text(value)


def _sticky(draft: Draft) -> None:
    backends = draft.settings.get("backends")
    if backends:
        draft.model("*", *backends)["balance"] = "prefix"
        draft.comment("sticky_sessions: to where its prefix is warm", "models", "*")


def _token(auth: dict[str, Any], place: str, endpoint: dict[str, Any], draft: Draft) -> str | None:
    """What the endpoint wants to be sent, as a reference to the environment."""
    if not auth:
        return None
    if str(auth.get("type")) != "bearer":
        draft.lost(place, f"auth of type {auth.get('type')}: backends get a Bearer token")
        return None
    token = str(auth.get("token") or "")
    if found := _VARIABLE.fullmatch(token):
        return f"${{{found[1]}}}"
    name = variable(str(endpoint.get("name") or "olla"), "key")
    draft.wrong(place, f"its token is in clear: put it into the environment as {name}")
    return f"${{{name}}}"


def _proxy(proxy: dict[str, Any], file: str, draft: Draft) -> None:
    for theirs, ours, most in (
        ("connection_timeout", "connect", 75.0),
        ("response_timeout", "first_byte", 86400.0),
        ("response_header_timeout", "first_byte", 86400.0),
        ("read_timeout", "idle", 86400.0),
    ):
        value = seconds(proxy.get(theirs))
        if value is not None:
            draft.section("timeouts")[ours] = seconds_text(min(value, most))
    if (retries := whole(proxy.get("max_retries"))) is not None:
        draft.section("retries")["attempts"] = min(retries + 1, 4)
    retry = mapping(proxy.get("retry"))
    if retry.get("enabled") is False:
        draft.section("retries")["attempts"] = 1
    elif (attempts := whole(retry.get("max_attempts"))) is not None:
        draft.section("retries")["attempts"] = min(attempts, 4)
    if mapping(proxy.get("sticky_sessions")).get("enabled"):
        _sticky(draft)
    for name in rest(proxy, _OF_PROXY):
        draft.lost(f"{file}, proxy", f"{name} has no counterpart here")
