"""The configuration as nginx files: a pure function from values to texts.

Nothing here reads or writes a file of the gateway, resolves a name or asks the machine; what the
files depend on besides the YAML is handed in as `Surroundings`. What the templates know of both is
in values.py.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from infergate.certificates.sites import API, sites
from infergate.config.root import Config
from infergate.contract.tier import SETTINGS_FILE
from infergate.nginx import known, tier
from infergate.nginx.keeping import SNIPPETS as KEEPING_SNIPPETS
from infergate.nginx.keeping import keeps
from infergate.nginx.made import Compiled
from infergate.nginx.programs import programs
from infergate.nginx.relays import awaits, hedges, watches
from infergate.nginx.rendered import Rendered
from infergate.nginx.upstreams import Upstream, service_of
from infergate.nginx.values import cors_of, has_grpc, hosts_of, values_of
from infergate.nginx.waf import Firewall, profiles
from infergate.nginx.zones import Needs
from infergate.paths import Home
from infergate.quoting import quoted, quoted_regex, regex_escaped

if TYPE_CHECKING:  # it brings cryptography, which only what makes certificates needs
    from infergate.certificates.served import ServedCertificate

_ALWAYS = (
    "nginx.conf",
    "maps.conf",
    "access.conf",
    "gzip.conf",
    "upstreams.conf",
    "secrets.conf",
    "internal.conf",
)


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
    certificates: Mapping[str, ServedCertificate] = field(default_factory=dict)
    curves: tuple[str, ...] = ("X25519", "prime256v1", "secp384r1")
    http2: bool = True
    ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    firewall: Firewall | None = None
    folder: Path = Path("/")
    error_page: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)
    counts_connections: bool = False


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
    writing = _Writing(config, around)
    files = {
        **writing.always(),
        **writing.sometimes(),
        **writing.tls(),
        **writing.snippets(),
        **writing.api(),
        **writing.services(),
    }
    if config.api is not None:
        snippets = [name for name in files if name.startswith("snippets/")]
        files |= tier.inner_files(snippets, writing.text)
        files[SETTINGS_FILE] = tier.settings(config, around)
    links = writing.links(files)
    if around.firewall:
        files["waf/api.conf"] = writing.text("waf_rules.conf")
    return Rendered(
        {**files, **programs(files, config, around), known.FILE: known.known(config)}, links
    )


class _Writing:
    """The templates, filled in with what one gateway has. Each method: path → text."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config, self._around = config, around
        self._environment = _environment()
        self._services = [
            service_of(config, around, name, at) for at, name in enumerate(config.services)
        ]
        self._values = values_of(config, around, self._services)

    def text(self, template: str, **more: object) -> str:
        return self._environment.get_template(f"{template}.j2").render({**self._values, **more})

    def always(self) -> dict[str, str]:
        return {name: self.text(name) for name in _ALWAYS}

    def sometimes(self) -> dict[str, str]:
        config = self._config
        wanted = {
            "services.conf": config.services,
            "cors.conf": cors_of(config),
            "attempts.conf": hedges(config) or awaits(config),
            "cache.conf": keeps(config),
        }
        return {name: self.text(name) for name, is_wanted in wanted.items() if is_wanted}

    def tls(self) -> dict[str, str]:
        https = sites(self._config)
        files = {"tls.conf": self.text("tls.conf")} if https else {}
        for each in https:
            served = self._around.certificates[each.name]
            text = self.text("tls_site.conf", served=served, hosts=each.hosts)
            files[f"tls/{each.name}.conf"] = text
        return files

    def snippets(self) -> dict[str, str]:
        unwanted = frozenset(_unwanted_snippets(self._config))
        names = self._environment.list_templates(filter_func=lambda n: n.startswith("snippets/"))
        wanted = [name.removesuffix(".j2") for name in names if name not in unwanted]
        return {name: self.text(name) for name in wanted}

    def api(self) -> dict[str, str]:
        hosts = tuple(hosts_of(self._config))
        https = sites(self._config)
        own = {each.name: each.hosts or hosts for each in https if not each.service}
        files = {
            f"sites-available/{site}.conf": self.text("site_api.conf", site=site, hosts=its)
            for site, its in (own or {API: hosts}).items()
        }
        if hosts:
            files["sites-available/unknown-host.conf"] = self.text("unknown_host.conf")
        return files

    def services(self) -> dict[str, str]:
        files = {}
        _, judged = profiles(self._config)
        for service in self._services:
            its = {"service": service, "profile": judged[service.name]}
            template = "service_path.conf" if service.path else "site_service.conf"
            if self._config.services[service.name].is_grpc:
                template = "site_grpc.conf"
            files[_site_of(service)] = self.text(template, **its)
            if judged[service.name].mode != "off":
                name = f"waf/{judged[service.name].name}.conf"
                files[name] = self.text("waf_service.conf", **its)
        return files

    def links(self, files: Mapping[str, str]) -> dict[str, str]:
        """Name → where it leads."""
        links = {
            f"sites-enabled/api.d/{service.name}.conf": f"../../{_site_of(service)}"
            for service in self._services
            if service.path
        }
        for path in files:
            name = path.removeprefix("sites-available/")
            if name != path and f"../../{path}" not in links.values():
                links[f"sites-enabled/{name}"] = f"../{path}"
        firewall = self._around.firewall
        if firewall:
            # ModSecurity cannot quote a path, and has no "+" in one.
            links["waf/crs"] = str(firewall.folder)
            if firewall.unicode_map:
                links["waf/unicode.mapping"] = str(firewall.unicode_map)
        return links


def _site_of(service: Upstream) -> str:
    return f"sites-available/service-{service.name}.conf"


def _unwanted_snippets(config: Config) -> Iterator[str]:
    """The templates of those that nothing of this gateway needs."""
    if config.waf.mode == "off":
        yield "snippets/waf.conf.j2"
    if not awaits(config):
        yield "snippets/awaited.conf.j2"
    if not watches(config):
        yield "snippets/watched.conf.j2"
    if keeps(config) is None:
        yield from KEEPING_SNIPPETS
    if config.api is None:
        yield tier.SNIPPET
    if not any(tier.keepers_of(config).values()):
        yield tier.KEEPER
    if not has_grpc(config):
        yield from ("snippets/grpc.conf.j2", "snippets/grpc_refusals.conf.j2")
