"""What the templates know: a pure function from configuration and surroundings to values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infergate.config import endpoints
from infergate.config.access import Cors
from infergate.config.deprecated import deprecated_names
from infergate.config.headers import KEYS
from infergate.config.log import WRITTEN_BY_NGINX
from infergate.config.root import Config
from infergate.nginx import access_line, tier
from infergate.nginx.access import distinct, guard_of_api
from infergate.nginx.headers import ANSWERED, EXPOSED, claimed, stripped
from infergate.nginx.keeping import keeps
from infergate.nginx.programs import told_of
from infergate.nginx.quick import HASHED_PREFIX, longest_relay, peers, quick_relay, servers
from infergate.nginx.relays import awaits, hedges, holds, relays_of, watches
from infergate.nginx.sampling import sampled_pattern
from infergate.nginx.shutdown import SHUTDOWN_TIMEOUT_S
from infergate.nginx.statuses import INTERNAL
from infergate.nginx.tls_values import tls_values
from infergate.nginx.upstreams import Upstream, backend_headers, backend_of
from infergate.nginx.waf import profiles
from infergate.nginx.zones import zones

if TYPE_CHECKING:
    from infergate.nginx.render import Surroundings


def values_of(
    config: Config, around: Surroundings, services: Sequence[Upstream]
) -> dict[str, object]:
    """By the names that the templates have for them."""
    return {
        **vars(around),
        **_gateway(config, around),
        **_access(config, services),
        **_listeners(config),
        **tls_values(config, around),
        **_paths(),
        **_backends(config, around),
        **_relays(config),
        **_services(services),
        **_log(config),
        **_waf(config, around),
        **tier.values(config, around.home),
        "zones": zones(config, around.needs),
    }


def _gateway(config: Config, around: Surroundings) -> dict[str, object]:
    return {
        "home": str(around.home.root),
        "internal": INTERNAL,
        "socket": str(around.home.socket),
        "queue_socket": str(around.home.queue_socket),
        "attempts_socket": str(around.home.attempts_socket),
        "metrics_socket": str(around.home.metrics_socket),
        "metrics_networks": config.metrics.networks,
        "workers": config.workers,
        "shutdown_timeout_s": SHUTDOWN_TIMEOUT_S,
        "max_body": config.limits.max_body,
        "max_header": config.limits.max_header,
        "slow_clients": config.limits.slow_clients,
        "gzip": config.gzip,
    }


def _access(config: Config, services: Sequence[Upstream]) -> dict[str, object]:
    """Who may call: keys, networks, pages."""
    guard_api = guard_of_api(config)
    guards_rules, guards_limits = distinct([guard_api, *(s.guard for s in services if s.guard)])
    return {
        "trusted_proxies": config.access.trusted_proxies,
        "keys_required": config.auth.required,
        "key_in_query": config.auth.key_in_query,
        "keyless": not config.auth.required or bool(config.auth.anonymous.networks),
        "key_headers": KEYS,
        "own_hosts": config.listen.hosts,
        "origins": [*config.access.origins, *_pages(config)],
        "scheme_variable": "$ig_scheme" if config.access.trusted_proxies else "$scheme",
        "stripped_headers": stripped(config.access.identity_headers),
        "claimed_headers": claimed(config.access.identity_headers),
        "our_headers": ANSWERED,
        "cors": cors_of(config),
        "cors_api": config.cors is not None,
        "cors_exposed": EXPOSED,
        "guard_api": guard_api,
        "guards_rules": guards_rules,
        "guards_limits": guards_limits,
    }


def _listeners(config: Config) -> dict[str, object]:
    listen = config.listen
    return {
        "proxy_protocol": listen.proxy_protocol,
        # In clear text, too, where that is how a gRPC service is asked.
        "clear_http2": listen.https is None and has_grpc(config),
        "http_listen": _listen(listen.http, proxy_protocol=listen.proxy_protocol),
        "https_listen": _listen(listen.https, proxy_protocol=listen.proxy_protocol),
        "https_port_suffix": _port_suffix(listen.https),
        "redirect_http": listen.http is not None and listen.https is not None,
    }


def _paths() -> dict[str, object]:
    return {
        "json_paths": endpoints.JSON_PATHS,
        "form_paths": (*endpoints.FORM_PATHS, *endpoints.SOME_HAVE_FORMS),
        "some_have": tuple(endpoints.SOME_HAVE),
        "without_v1": endpoints.WITHOUT_V1,
        "own_paths": sorted([*(each[1:] for each in endpoints.PATHS), *endpoints.WITHOUT_V1]),
        "health_paths": endpoints.HEALTH_PATHS,
        "blobs": endpoints.BLOBS,
        "stored": endpoints.STORED,
        "websockets": tuple(endpoints.WEBSOCKETS),
        "list_paths": endpoints.LIST_PATHS,
        "manage_paths": endpoints.MANAGE_PATHS,
    }


def _backends(config: Config, around: Surroundings) -> dict[str, object]:
    backends = [backend_of(n, b, around.addresses) for n, b in config.backends.items()]
    by_name = {each.name: each for each in backends}
    return {
        "backends": backends,
        # A variable costs every request something, so it is there only if a backend needs it.
        "path_variable": "$ig_backend_path" * any(b.path_prefix for b in backends),
        "backend_headers": backend_headers(backends),
        "peers": peers(config),
        "hashed_prefix": HASHED_PREFIX,
        "most_addresses": max(2, *map(len, around.addresses.values()), 0),
        "quick_servers": [by_name[name] if name else None for name in servers(config)],
    }


def _relays(config: Config) -> dict[str, object]:
    """Ways to the backends, and which of the rare ones there are."""
    return {
        "reached": {each.suffix: each for each in relays_of(config)}.values(),
        "relays": relays_of(config),
        "quick_relay": quick_relay(config),
        "longest_relay": longest_relay(config),
        "hedge": hedges(config),
        "watches": watches(config),
        "holds": holds(config) is not None,
        "awaits": awaits(config),
        "attempts": hedges(config) or awaits(config),
        "keeps": keeps(config),
        # As keys of a map: a backslash before each, so that none is a word of nginx's.
        "deprecated": [(f"\\{n}", said.headers) for n, _, said in deprecated_names(config)],
    }


def _services(services: Sequence[Upstream]) -> dict[str, object]:
    return {
        "services": services,
        "basic": any(s.auth == "basic" for s in services),
        "forwards": [s.forward for s in services if s.forward],
        "forward": any(s.forward for s in services),
    }


def hosts_of(config: Config) -> list[str]:
    """The API's host names; none is any. Without keys only this machine's own: a page in a browser
    could name another one that leads here (DNS rebinding)."""
    if config.listen.hosts or config.auth.required:
        return config.listen.hosts
    return ["localhost", "127.0.0.1", "[::1]"]


def _listen(address: str | None, *, proxy_protocol: bool) -> tuple[str, ...]:
    """nginx's listen parameters; "*:8080" stands for all IPv4 and IPv6 addresses."""
    if address is None:
        return ()
    host, _, port = address.rpartition(":")
    found = (f"{port}", f"[::]:{port}") if host == "*" else (address,)
    return tuple(each + " proxy_protocol" for each in found) if proxy_protocol else found


def has_grpc(config: Config) -> bool:
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
            told_of(config),
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


def cors_of(config: Config) -> dict[str, Cors]:
    """By what templates/cors.conf.j2 calls whose rules they are."""
    services = [(f"s{index}", each.cors) for index, each in enumerate(config.services.values())]
    return {scope: each for scope, each in (("api", config.cors), *services) if each is not None}


def _port_suffix(https: str | None) -> str:
    port = (https or ":443").rpartition(":")[2]
    return "" if port == "443" else f":{port}"
