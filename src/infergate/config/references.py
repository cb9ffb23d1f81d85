"""Whether the parts of a configuration fit together. Pure: no file, no DNS, no network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from infergate.config import endpoints
from infergate.config.addresses import is_ip, is_loopback, overlap
from infergate.config.backends import ServedBackend
from infergate.config.budgets import parse_budget
from infergate.config.guardrails import guard_contradictions
from infergate.config.log import WRITTEN_BY_NGINX
from infergate.config.model_references import model_contradictions
from infergate.config.problems import Finding, did_you_mean
from infergate.config.root import Config
from infergate.config.serve_references import serve_contradictions
from infergate.config.tls_references import tls_contradictions, tls_doubts

_ENGINES_PATHS = (
    *sorted(endpoints.PATHS, key=len, reverse=True),
    *("/chat/completions", "/metrics"),
)
_NO_BACKENDS = "the file needs the setting 'backends' (or serve, for engines of your own)"
_ENGINES = ("auto", "embedded", "debian", "system")


def contradictions(config: Config) -> Iterator[Finding]:
    """What cannot work, each with the path of the value that is wrong."""
    if not config.backends and not config.serve:
        yield (), _NO_BACKENDS
    yield from serve_contradictions(config)
    yield from _listeners(config)
    yield from tls_contradictions(config)
    yield from model_contradictions(config)
    yield from guard_contradictions(config)
    yield from _services(config)
    for endpoint in config.endpoints:
        if endpoint not in endpoints.INFERENCE:
            whole = f"/v1{endpoint}"  # which clients may leave out, and this file may not
            hint = did_you_mean(
                whole if whole in endpoints.INFERENCE else endpoint, endpoints.INFERENCE
            )
            yield ("endpoints", endpoint), f"there is no endpoint {endpoint!r}{hint}"
    yield from _firewall(config)
    if config.engine not in _ENGINES and not config.engine.startswith("/"):
        known = (*_ENGINES, "/path/to/nginx")
        yield (
            ("engine",),
            f"expected one of {', '.join(known)}" + did_you_mean(config.engine, _ENGINES),
        )
    yield from _backend_urls(config)
    yield from _log(config)
    # nginx compares the names of upstreams without case.
    lower = Counter(name.lower() for name in config.backends)
    for name in config.backends:
        if lower[name.lower()] > 1 and name != name.lower():
            yield _at(config, name), f"{name!r} differs from another backend only in case"
    hashes = Counter(key.hash for key in config.auth.keys.values())
    for name, key in config.auth.keys.items():
        for budget in key.budget:
            currency = parse_budget(budget).currency
            if currency not in (None, config.usage.currency):
                yield (
                    ("auth", "keys", name, "budget"),
                    f"{budget} is in {currency}; prices are in {config.usage.currency} "
                    "(usage.currency)",
                )
        if hashes[key.hash] > 1:
            yield ("auth", "keys", name, "hash"), "two keys have this hash"


def _at(config: Config, name: str) -> tuple[str, ...]:
    """Where a backend stands in the file."""
    declared = not isinstance(config.backends[name], ServedBackend)
    return ("backends" if declared else "serve", name)


def _backend_urls(config: Config) -> Iterator[Finding]:
    """A server asked below one of its own endpoints answers 400 or 404 to everything."""
    for name, backend in config.backends.items():
        url = backend.url.rstrip("/")
        endpoint = next((each for each in _ENGINES_PATHS if url.endswith(each)), None)
        if endpoint is not None:
            yield (
                ("backends", name, "url"),
                f"the URL goes as far as the endpoint {endpoint}; write the base URL, "
                f"{url.removesuffix(endpoint)}",
            )


def _log(config: Config) -> Iterator[Finding]:
    if config.auth.key_in_query and config.log.format in WRITTEN_BY_NGINX:
        yield (
            ("log", "format"),
            f"{config.log.format} has whole addresses, and auth.key_in_query lets keys stand in "
            "them; use json or ecs, or take keys in headers only",
        )


def _listeners(config: Config) -> Iterator[Finding]:
    listen = config.listen
    if listen.http is None and listen.https is None:
        yield ("listen",), "the gateway listens nowhere: give http or https a port"
    if listen.https is not None and config.tls is None:
        yield ("listen", "https"), "https needs a tls: section (self_signed: true is the shortest)"
    if config.tls is not None and listen.https is None:
        yield ("tls",), "tls needs a port: set https under listen"
    if listen.http is not None and _port(listen.http) == _port(listen.https or ""):
        yield ("listen", "https"), "http and https cannot share a port"
    for name in ("http", "https"):
        address = getattr(listen, name)
        if address and not config.auth.required and not is_loopback(address):
            yield (
                ("auth", "required"),
                "without keys the gateway may only listen on this machine: "
                f"write `{name}: 127.0.0.1:{_port(address)}` under listen, or require keys",
            )
        if address and config.admin.listen and overlap(address, config.admin.listen):
            yield ("admin", "listen"), f"{config.admin.listen} is taken by listen.{name}"
    if config.admin.listen and config.tls is None and not is_loopback(config.admin.listen):
        yield (
            ("admin", "listen"),
            "tokens would cross the network in clear text: give the gateway a tls: section, or "
            f"listen on this machine only (127.0.0.1:{_port(config.admin.listen)})",
        )
    if listen.proxy_protocol and not config.access.trusted_proxies:
        yield (
            ("listen", "proxy_protocol"),
            "say whose PROXY lines are believed: access.trusted_proxies",
        )


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _services(config: Config) -> Iterator[Finding]:
    for name, key in config.auth.keys.items():
        for allowed in key.services:
            if allowed != "*" and allowed not in config.services:
                hint = did_you_mean(allowed, config.services)
                where = ("auth", "keys", name, "services")
                yield where, f"there is no service {allowed!r}{hint}"
    hosts = {host.lower(): "listen.hosts" for host in config.listen.hosts}
    paths: dict[str, str] = {}
    for name, service in config.services.items():
        if service.host is not None:
            taken = hosts.setdefault(service.host.lower(), name)
            if taken != name:
                yield ("services", name, "host"), f"{service.host} is taken by {taken}"
        if service.path is not None:
            ours = endpoints.own_folder(service.path)
            taken = paths.setdefault(service.path, name)
            if ours:
                yield ("services", name, "path"), f"paths below {ours} are the gateway's own"
            elif taken != name:
                yield ("services", name, "path"), f"{service.path} is taken by {taken}"
    for name, service in config.services.items():
        if service.path is not None and service.cache is not None:
            for at, path in enumerate(service.cache.paths):
                whole = service.path + path[1:]
                if whole in paths:
                    field = ("services", name, "cache", "paths", at)
                    yield field, f"{whole} is taken by {paths[whole]}"


def _firewall(config: Config) -> Iterator[Finding]:
    if config.engine != "embedded":  # what `auto` finds is not known here
        return
    wanted: list[tuple[str, ...]] = [("waf",)] if config.waf.mode != "off" else []
    wanted += [
        ("services", name, "waf")
        for name, service in config.services.items()
        if service.waf.mode not in (None, "off")
    ]
    for path in wanted:
        yield (
            path,
            "the embedded nginx cannot load ModSecurity: take another engine"
            " (`infergate engine install --waf` brings one), or write waf: off",
        )


def doubts(config: Config) -> Iterator[Finding]:
    """What works and is probably not meant."""
    yield from tls_doubts(config)
    for name, model in config.models.items():
        if model.hedge is not None and len(model.backends) == 1:
            yield ("models", name, "hedge"), "there is no second backend to ask"
        if model.cache is not None and model.canary is not None:
            yield ("models", name, "cache"), "answers of two models (canary) are not kept"
    urls: dict[str, str] = {}
    for name, backend in config.backends.items():
        if backend.discover is not None:
            continue
        other = urls.setdefault(backend.root_url, name)
        if other != name:
            yield _at(config, name), f"has the same address as {other!r}"
    yield from _doubts_of_services(config)
    own = {_port(address) for address in (config.listen.http, config.listen.https) if address}
    for name, backend in config.backends.items():
        if backend.host in ("127.0.0.1", "localhost", "::1") and str(backend.port) in own:
            yield _at(config, name), "is the gateway's own address: requests would go in circles"


def _doubts_of_services(config: Config) -> Iterator[Finding]:
    for section, each in (("backends", config.backends), ("services", config.services)):
        for name, it in each.items():
            url = urlsplit(it.url)
            if url.scheme == "https" and it.verify_tls and is_ip(url.hostname or ""):
                yield (
                    (section, name),
                    "nginx compares a certificate with names, never with addresses: "
                    "give the name, or verify_tls: false",
                )
    for name, service in config.services.items():
        if service.path and service.access.allow and config.access.allow:
            yield (
                ("services", name, "access", "allow"),
                "below a path of the API, access.allow has to let them in, too",
            )
        for user, hash_ in service.users.items():
            if re.match(r"\$2.\$1", hash_.get_secret_value()):
                yield (
                    ("services", name, "users", user),
                    "bcrypt from cost 10 holds a worker up for 50 ms and more with each wrong "
                    "password; `openssl passwd -6` for 3",
                )
