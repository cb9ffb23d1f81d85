"""The configuration as nginx files: a pure function from values to texts.

Nothing here reads or writes a file of the gateway, resolves a name or asks the machine; what the
files depend on besides the YAML is handed in as `Surroundings`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from infergate.config import endpoints
from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.config.services import Service
from infergate.config.types import is_ip
from infergate.nginx.bundle import bundle
from infergate.nginx.keeping import SNIPPETS as KEEPING_SNIPPETS
from infergate.nginx.keeping import keeps, who_answers
from infergate.nginx.quick import HASHED_PREFIX, peers, quick_relay, servers
from infergate.nginx.quoting import quoted, quoted_regex, regex_escaped
from infergate.nginx.relays import relays_of
from infergate.paths import Home

SECRET_FILES = frozenset({"secrets.conf"})

SHUTDOWN_TIMEOUT_S = 3600
"""How long open streams may keep an old worker alive after a reload: longer than any answer."""

_JS_IMPORT = re.compile(r"js_import\s+\w+\s+from (\w+\.js);")
_SETTING = re.compile(r"\bsettings\.(\w+)")

UNRESOLVED = "127.0.0.1:1"
"""Stands in for a name that does not resolve: refused at once, so another backend is tried."""


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
    certificate, certificate_key: what https listeners serve.
    """

    source: str
    home: Home
    revision: int = 0
    load_modules: tuple[str, ...] = ()
    temp_path_modules: tuple[str, ...] = ()
    user: str | None = None
    open_files: int = 1024
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    certificate: str = ""
    certificate_key: str = ""
    ca_file: str = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Rendered:
    """A whole nginx configuration: texts by relative path, and links by relative path."""

    files: Mapping[str, str]
    links: Mapping[str, str]


@dataclass(frozen=True)
class _Upstream:
    """A backend or service as the templates see it."""

    name: str
    upstream: str
    url: str
    scheme: str
    hostname: str
    host_header: str
    path_prefix: str
    addresses: tuple[str, ...]
    api_key: str | None
    verify_tls: bool = True
    auth: str = "key"
    host: str | None = None
    path: str | None = None
    variable: str = ""
    max_body: int = 0


def _addresses(host: str, port: int, resolved: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    found = (host,) if is_ip(host) else resolved.get(host, ())
    return tuple(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in found) or (UNRESOLVED,)


def _host_header(host: str, port: int, scheme: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == (443 if scheme == "https" else 80) else f"{shown}:{port}"


def _backend(name: str, backend: Backend, resolved: Mapping[str, tuple[str, ...]]) -> _Upstream:
    return _Upstream(
        name=name,
        upstream=name,
        url=backend.url,
        scheme=backend.scheme,
        hostname=backend.host,
        host_header=_host_header(backend.host, backend.port, backend.scheme),
        path_prefix=backend.path_prefix,
        addresses=_addresses(backend.host, backend.port, resolved),
        api_key=backend.api_key.get_secret_value() if backend.api_key else None,
        verify_tls=backend.verify_tls,
    )


def _service(
    name: str, service: Service, resolved: Mapping[str, tuple[str, ...]], max_body: int, index: int
) -> _Upstream:
    as_backend = Backend(url=service.url)
    return _Upstream(
        name=name,
        upstream=f"_service_{name}",
        url=service.url,
        scheme=as_backend.scheme,
        hostname=as_backend.host,
        # A service of its own name must know that name; one below a path its own address.
        host_header="$http_host"
        if service.host
        else _host_header(as_backend.host, as_backend.port, as_backend.scheme),
        path_prefix=as_backend.path_prefix,
        addresses=_addresses(as_backend.host, as_backend.port, resolved),
        api_key=service.api_key.get_secret_value() if service.api_key else None,
        verify_tls=service.verify_tls,
        auth=service.auth,
        host=service.host,
        path=service.path,
        variable=str(index),
        max_body=max_body if service.max_body is None else service.max_body,
    )


def _listen(address: str | None) -> tuple[str, ...]:
    """nginx's listen parameters; "*:8080" stands for all IPv4 and IPv6 addresses."""
    if address is None:
        return ()
    host, _, port = address.rpartition(":")
    return (f"{port}", f"[::]:{port}") if host == "*" else (address,)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("infergate.nginx", "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - nginx syntax, not HTML; strings go through `quoted`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        quoted=quoted, quoted_regex=quoted_regex, regex_escaped=regex_escaped
    )
    return environment


def render(config: Config, around: Surroundings) -> Rendered:
    """Every file of the nginx configuration for this gateway.

    Raises ValueError where a string cannot be written in nginx's syntax; the configuration's
    types let none through, so this is the second lock.
    """
    resolved = around.addresses
    backends = [_backend(n, b, resolved) for n, b in config.backends.items()]
    by_name = {each.name: each for each in backends}
    services = [
        _service(name, service, resolved, config.limits.max_body, index)
        for index, (name, service) in enumerate(config.services.items())
    ]
    values = {
        **vars(around),
        "home": str(around.home.root),
        "socket": str(around.home.socket),
        "queue_socket": str(around.home.queue_socket),
        "hedge_socket": str(around.home.hedge_socket),
        "workers": config.workers,
        "shutdown_timeout_s": SHUTDOWN_TIMEOUT_S,
        "max_body": config.limits.max_body,
        "per_ip": config.limits.per_ip,
        "allow": config.access.allow,
        "deny": config.access.deny,
        "deny_user_agents": config.access.deny_user_agents,
        "backends": backends,
        # A variable costs every request something, so it is there only if a backend needs it.
        "path_variable": "$ig_backend_path" * any(b.path_prefix for b in backends),
        "authorization_variable": "$ig_backend_authorization" * any(b.api_key for b in backends),
        "services": services,
        "path_services": [s for s in services if s.path],
        "hosts": config.listen.hosts,
        "http_listen": _listen(config.listen.http),
        "https_listen": _listen(config.listen.https),
        "https_port_suffix": _port_suffix(config.listen.https),
        "redirect_http": config.listen.http is not None and config.listen.https is not None,
        "hsts": config.tls is not None and config.tls.hsts,
        "json_paths": endpoints.JSON_PATHS,
        "form_paths": endpoints.FORM_PATHS,
        "list_paths": endpoints.LIST_PATHS,
        "manage_paths": endpoints.MANAGE_PATHS,
        "relays": relays_of(config),
        "shadow": any(model.shadow for model in config.models.values()),
        "hedge": _hedges(config),
        "keeps": keeps(config),
        "gzip": config.gzip,
        "quick_relay": quick_relay(config),
        "peers": peers(config),
        "hashed_prefix": HASHED_PREFIX,
        "quick_servers": [by_name[name] if name else None for name in servers(config)],
    }
    environment = _environment()

    def text(template: str, **more: object) -> str:
        return environment.get_template(template).render(**values, **more)

    files = {
        name.removesuffix(".j2"): text(name)
        for name in (
            "nginx.conf.j2",
            "maps.conf.j2",
            "gzip.conf.j2",
            "upstreams.conf.j2",
            "secrets.conf.j2",
            "internal.conf.j2",
        )
    }
    if _hedges(config):
        files["hedge.conf"] = text("hedge.conf.j2")
    kept = keeps(config)
    if kept:
        files["cache.conf"] = text("cache.conf.j2")
    for name in environment.list_templates(filter_func=lambda name: name.startswith("snippets/")):
        if name == "snippets/tls.conf.j2" and config.listen.https is None:
            continue
        if name in KEEPING_SNIPPETS and kept is None:
            continue
        files[name.removesuffix(".j2")] = text(name)
    files["sites-available/api.conf"] = text("site_api.conf.j2")
    for service in services:
        if service.path:
            files[f"services/{service.name}.conf"] = text("service_path.conf.j2", service=service)
        else:
            files[f"sites-available/service-{service.name}.conf"] = text(
                "site_service.conf.j2", service=service
            )
    links = {
        path.replace("sites-available/", "sites-enabled/"): "../" + path
        for path in files
        if path.startswith("sites-available/")
    }
    return Rendered({**files, **_njs(files, config, around)}, links)


def _hedges(config: Config) -> bool:
    return any(model.hedge for model in config.models.values())


def _port_suffix(https: str | None) -> str:
    port = (https or ":443").rpartition(":")[2]
    return "" if port == "443" else f":{port}"


def _njs(files: Mapping[str, str], config: Config, around: Surroundings) -> dict[str, str]:
    """The programs that the rendered files import."""
    programs = sorted({name for text in files.values() for name in _JS_IMPORT.findall(text)})
    settings = {
        "revision": around.revision,
        "snapshots": [str(path) for path in around.home.snapshots],
        "usual_relay": quick_relay(config).name,
        # At five tokens a second, twice over: slower than anybody waits for.
        "quick_tokens": quick_relay(config).read_ms // 400,
        "hedged": endpoints.HEDGED_PATHS,
        "kept": dict.fromkeys(endpoints.KEPT_PATHS, 1),
        "who_answers": who_answers(config),
        "hedge_socket": str(around.home.hedge_socket),
        "mark_failed_ms": round(config.health.interval * 1000),
        "breaker": {
            "failures": config.breaker.failures,
            "error_rate": config.breaker.error_rate,
            "cooldown_ms": round(config.breaker.cooldown * 1000),
            "max_cooldown_ms": round(config.breaker.max_cooldown * 1000),
        },
    }
    texts = {name: json.dumps(value) for name, value in settings.items()}
    return {
        f"njs/{name}": _SETTING.sub(lambda match: f"({texts[match[1]]})", _program(name))
        for name in programs
    }


@functools.cache
def _program(name: str) -> str:
    folder = resources.files("infergate.nginx") / "njs"
    return bundle(name, lambda file: (folder / file).read_text())


def write(rendered: Rendered, folder: Path) -> None:
    """Write the files below folder, which is made; what holds secrets is readable by us only."""
    for path, text in rendered.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if path in SECRET_FILES else 0o644
        target.touch(mode=mode)
        target.chmod(mode)
        target.write_text(text)
    for path, pointee in rendered.links.items():
        link = folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(pointee)
