"""The configuration as nginx files: a pure function from values to texts.

Nothing here reads or writes a file of the gateway, resolves a name or asks the machine; what the
files depend on besides the YAML is handed in as `Surroundings`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from infergate.certificates.sites import API, sites
from infergate.config import endpoints
from infergate.config.access import Cors
from infergate.config.headers import KEYS
from infergate.config.log import WRITTEN_BY_NGINX
from infergate.config.root import Config
from infergate.nginx import access_line, known, tier
from infergate.nginx.access import distinct, guard_of_api
from infergate.nginx.headers import ANSWERED, EXPOSED, claimed, stripped
from infergate.nginx.keeping import SNIPPETS as KEEPING_SNIPPETS
from infergate.nginx.keeping import keeps
from infergate.nginx.made import Compiled
from infergate.nginx.programs import programs
from infergate.nginx.quick import HASHED_PREFIX, longest_relay, peers, quick_relay, servers
from infergate.nginx.relays import awaits, hedges, holds, relays_of, watches
from infergate.nginx.rendered import Rendered
from infergate.nginx.sampling import sampled_pattern
from infergate.nginx.shutdown import SHUTDOWN_TIMEOUT_S
from infergate.nginx.statuses import INTERNAL
from infergate.nginx.tls_values import tls_values
from infergate.nginx.upstreams import backend_headers, backend_of, service_of
from infergate.nginx.waf import Firewall, profiles
from infergate.nginx.zones import Needs, zones
from infergate.paths import Home
from infergate.quoting import quoted, quoted_regex, regex_escaped

if TYPE_CHECKING:  # it brings cryptography, which only what makes certificates needs
    from infergate.certificates.served import Served


@dataclass(frozen=True)
class Surroundings:
    """What the rendered files depend on besides the YAML.

    source: the configuration file's name, for the head of nginx.conf.
    revision: the number of this rendering; nginx tells it back, so that a reload can be proven.
    load_modules: absolute paths of dynamic modules the engine needs.
    temp_path_modules: modules with a temporary folder that must not stay at its compiled place.
    user: who workers run as, when the master is root; None otherwise.
    open_files: file descriptors a worker may have.
    addresses: resolved addresses of host names; a name that is missing did not resolve.
    certificates: what each TLS site (certificates/sites.py) serves.
    curves: of the key exchange, the preferred one first.
    http2: whether https listeners speak it.
    firewall: ModSecurity and its rules; None where the configuration wants none.
    folder: what relative paths of the configuration start from.
    error_page: HTML of the operator's own; "" is ours.
    passwords: the htpasswd text of each service with auth: basic.
    needs: what shared memory has to hold.
    counts_connections: the engine has stub_status.
    """

    source: str
    home: Home
    revision: int = 0
    load_modules: tuple[str, ...] = ()
    temp_path_modules: tuple[str, ...] = ()
    user: str | None = None
    open_files: int = 1024
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    certificates: Mapping[str, Served] = field(default_factory=dict)
    curves: tuple[str, ...] = ("X25519", "prime256v1", "secp384r1")
    http2: bool = True
    ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    firewall: Firewall | None = None
    folder: Path = Path("/")
    error_page: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)
    counts_connections: bool = False


def _listen(address: str | None, *, proxy_protocol: bool) -> tuple[str, ...]:
    """nginx's listen parameters; "*:8080" stands for all IPv4 and IPv6 addresses."""
    if address is None:
        return ()
    host, _, port = address.rpartition(":")
    found = (f"{port}", f"[::]:{port}") if host == "*" else (address,)
    return tuple(each + " proxy_protocol" for each in found) if proxy_protocol else found


def _hosts(config: Config) -> list[str]:
    """The API's host names; none is any. Without keys only this machine's own: a page in a browser
    could name another one that leads here (DNS rebinding)."""
    if config.listen.hosts or config.auth.required:
        return config.listen.hosts
    return ["localhost", "127.0.0.1", "[::1]"]


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("infergate.nginx", "templates"),
        bytecode_cache=Compiled(),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - nginx syntax, not HTML; strings go through `quoted`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        quoted=quoted,
        quoted_regex=quoted_regex,
        regex_escaped=regex_escaped,
        ms=lambda seconds: f"{round(seconds * 1000)}ms",
    )
    return environment


def render(config: Config, around: Surroundings) -> Rendered:
    """Every file of the nginx configuration for this gateway.

    Raises ValueError where a string cannot be written in nginx's syntax; the configuration's
    types let none through, so this is the second lock.
    """
    backends = [backend_of(n, b, around.addresses) for n, b in config.backends.items()]
    by_name = {each.name: each for each in backends}
    services = [service_of(config, around, name, at) for at, name in enumerate(config.services)]
    guard_api = guard_of_api(config)
    guards_rules, guards_limits = distinct([guard_api, *(s.guard for s in services if s.guard)])
    values = {
        **vars(around),
        "home": str(around.home.root),
        "internal": INTERNAL,
        "socket": str(around.home.socket),
        "queue_socket": str(around.home.queue_socket),
        "attempts_socket": str(around.home.attempts_socket),
        "workers": config.workers,
        "shutdown_timeout_s": SHUTDOWN_TIMEOUT_S,
        "max_body": config.limits.max_body,
        "max_header": config.limits.max_header,
        "slow_clients": config.limits.slow_clients,
        "trusted_proxies": config.access.trusted_proxies,
        "keys_required": config.auth.required,
        "key_in_query": config.auth.key_in_query,
        "keyless": not config.auth.required or bool(config.auth.anonymous.networks),
        "key_headers": KEYS,
        "own_hosts": config.listen.hosts,
        "origins": [*config.access.origins, *_pages(config)],
        "proxy_protocol": config.listen.proxy_protocol,
        "scheme_variable": "$ig_scheme" if config.access.trusted_proxies else "$scheme",
        "stripped_headers": stripped(config.access.identity_headers),
        "claimed_headers": claimed(config.access.identity_headers),
        "our_headers": ANSWERED,
        "cors": _cors(config),
        "cors_api": config.cors is not None,
        "cors_exposed": EXPOSED,
        "guard_api": guard_api,
        "guards_rules": guards_rules,
        "guards_limits": guards_limits,
        "backends": backends,
        # A variable costs every request something, so it is there only if a backend needs it.
        "metrics_networks": config.metrics.networks,
        "metrics_socket": str(around.home.metrics_socket),
        "path_variable": "$ig_backend_path" * any(b.path_prefix for b in backends),
        "backend_headers": backend_headers(backends),
        "services": services,
        # In clear text, too, where that is how a gRPC service is asked.
        "clear_http2": config.listen.https is None and _has_grpc(config),
        "basic": any(s.auth == "basic" for s in services),
        "forwards": [s.forward for s in services if s.forward],
        "forward": any(s.forward for s in services),
        "http_listen": _listen(config.listen.http, proxy_protocol=config.listen.proxy_protocol),
        "https_listen": _listen(config.listen.https, proxy_protocol=config.listen.proxy_protocol),
        "https_port_suffix": _port_suffix(config.listen.https),
        "redirect_http": config.listen.http is not None and config.listen.https is not None,
        **tls_values(config, around),
        "json_paths": endpoints.JSON_PATHS,
        "form_paths": (*endpoints.FORM_PATHS, *endpoints.SOME_HAVE_FORMS),
        "some_have": tuple(endpoints.SOME_HAVE),
        "without_v1": endpoints.WITHOUT_V1,
        "own_paths": sorted([*(each[1:] for each in endpoints.PATHS), *endpoints.WITHOUT_V1]),
        "health_paths": endpoints.HEALTH_PATHS,
        "blobs": endpoints.BLOBS,
        "stored": endpoints.STORED,
        "websockets": tuple(endpoints.WEBSOCKETS),
        "reached": {each.suffix: each for each in relays_of(config)}.values(),
        "list_paths": endpoints.LIST_PATHS,
        "manage_paths": endpoints.MANAGE_PATHS,
        "relays": relays_of(config),
        "zones": zones(config, around.needs),
        "hedge": hedges(config),
        "watches": watches(config),
        "holds": holds(config) is not None,
        "awaits": awaits(config),
        "attempts": hedges(config) or awaits(config),
        "keeps": keeps(config),
        **_log(config),
        "gzip": config.gzip,
        "quick_relay": quick_relay(config),
        "longest_relay": longest_relay(config),
        "peers": peers(config),
        "hashed_prefix": HASHED_PREFIX,
        **_waf(config, around),
        "most_addresses": max(2, *map(len, around.addresses.values()), 0),
        "quick_servers": [by_name[name] if name else None for name in servers(config)],
        **tier.values(config, around.home),
    }
    environment = _environment()

    def text(template: str, **more: object) -> str:
        return environment.get_template(template).render({**values, **more})

    files = {
        name.removesuffix(".j2"): text(name)
        for name in (
            "nginx.conf.j2",
            "maps.conf.j2",
            "access.conf.j2",
            "gzip.conf.j2",
            "upstreams.conf.j2",
            "secrets.conf.j2",
            "internal.conf.j2",
        )
    }
    if services:
        files["services.conf"] = text("services.conf.j2")
    if _cors(config):
        files["cors.conf"] = text("cors.conf.j2")
    https = sites(config)
    if https:
        files["tls.conf"] = text("tls.conf.j2")
    for each in https:
        served = around.certificates[each.name]
        files[f"tls/{each.name}.conf"] = text("tls_site.conf.j2", served=served, hosts=each.hosts)
    if values["attempts"]:
        files["attempts.conf"] = text("attempts.conf.j2")
    kept = keeps(config)
    if kept:
        files["cache.conf"] = text("cache.conf.j2")
    for name in environment.list_templates(filter_func=lambda name: name.startswith("snippets/")):
        if name == "snippets/waf.conf.j2" and config.waf.mode == "off":
            continue
        if name == "snippets/awaited.conf.j2" and not awaits(config):
            continue
        if name == "snippets/watched.conf.j2" and not watches(config):
            continue
        if name in KEEPING_SNIPPETS and kept is None:
            continue
        if name in _GRPC_SNIPPETS and not _has_grpc(config):
            continue
        if name == tier.SNIPPET and config.api is None:
            continue
        if name == tier.BATCHES and (config.api is None or config.api.batches is None):
            continue
        files[name.removesuffix(".j2")] = text(name)
    hosts = tuple(_hosts(config))
    own = {each.name: each.hosts or hosts for each in https if not each.service}
    for site, its_hosts in (own or {API: hosts}).items():
        files[f"sites-available/{site}.conf"] = text("site_api.conf.j2", site=site, hosts=its_hosts)
    if hosts:
        files["sites-available/unknown-host.conf"] = text("unknown_host.conf.j2")
    if config.api is not None:
        snippets = [name for name in files if name.startswith("snippets/")]
        files |= tier.inner_files(snippets, text)
        files[tier.FILE] = tier.settings(config, around)
    links = {}
    _, judged = profiles(config)
    for service in services:
        its = {"service": service, "profile": judged[service.name]}
        path = f"sites-available/service-{service.name}.conf"
        template = "service_path.conf.j2" if service.path else "site_service.conf.j2"
        if config.services[service.name].is_grpc:
            template = "site_grpc.conf.j2"
        files[path] = text(template, **its)
        if service.path:
            links[f"sites-enabled/api.d/{service.name}.conf"] = f"../../{path}"
        if judged[service.name].mode != "off":
            files[f"waf/{judged[service.name].name}.conf"] = text("waf_service.conf.j2", **its)
    for path in files:
        name = path.removeprefix("sites-available/")
        if name != path and f"../../{path}" not in links.values():
            links[f"sites-enabled/{name}"] = f"../{path}"
    if around.firewall:
        files["waf/api.conf"] = text("waf_rules.conf.j2")
        # ModSecurity cannot quote a path, and has no "+" in one.
        links["waf/crs"] = str(around.firewall.folder)
        if around.firewall.unicode_map:
            links["waf/unicode.mapping"] = str(around.firewall.unicode_map)
    return Rendered(
        {**files, **programs(files, config, around), known.FILE: known.known(config)}, links
    )


_GRPC_SNIPPETS = ("snippets/grpc.conf.j2", "snippets/grpc_refusals.conf.j2")


def _has_grpc(config: Config) -> bool:
    return any(service.is_grpc for service in config.services.values())


def _waf(config: Config, around: Surroundings) -> dict[str, object]:
    """What the templates say of the firewall."""
    firewall = around.firewall
    return {
        "waf": firewall is not None,
        "waf_api": profiles(config)[0],
        "waf_settings": config.waf,
        # ModSecurity's paths are absolute: it knows nothing of nginx's prefix.
        "waf_folder": str(around.home.revisions / str(around.revision) / "waf"),
        "waf_reports": str(around.home.waf_reports),
        "waf_rule_files": firewall.rules if firewall else (),
        "waf_has_unicode_map": firewall is not None and firewall.unicode_map is not None,
    }


def _log(config: Config) -> dict[str, object]:
    """What the templates say of the access log, and of traces."""
    tracing = config.tracing
    return {
        "own_log": config.log.format if config.log.format in WRITTEN_BY_NGINX else None,
        "tracing": tracing is not None,
        "sampled": sampled_pattern(tracing.sample) if tracing else None,
        "log_formats": access_line.log_formats(
            keeps=keeps(config) is not None,
            traces=config.tracing is not None,
            services=bool(config.services),
            hedges=hedges(config) or awaits(config),
            tier=config.api is not None,
        ),
        "no_utf_8": access_line.NO_UTF_8,
        "answered": access_line.ANSWERED,
        "unanswered": access_line.UNANSWERED,
    }


def _pages(config: Config) -> list[str]:
    """Pages of `cors` by name: who lists them means that they call."""
    return [each for each in (config.cors.origins if config.cors else ()) if "*" not in each]


def _cors(config: Config) -> dict[str, Cors]:
    """By what templates/cors.conf.j2 calls whose rules they are."""
    services = [(f"s{index}", each.cors) for index, each in enumerate(config.services.values())]
    return {scope: each for scope, each in (("api", config.cors), *services) if each is not None}


def _port_suffix(https: str | None) -> str:
    port = (https or ":443").rpartition(":")[2]
    return "" if port == "443" else f":{port}"
