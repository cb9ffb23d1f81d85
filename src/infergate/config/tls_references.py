"""Whether the tls section fits the rest of the file. Pure but for the files it looks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from infergate.config.addresses import is_ip
from infergate.config.problems import Finding, did_you_mean
from infergate.config.root import Config


def tls_contradictions(config: Config) -> Iterator[Finding]:
    """What cannot work, each with the path of the value that is wrong."""
    tls = config.tls
    if tls is None or config.listen.https is None:
        return
    hosts = _hosts(config)
    for host in tls.hosts:
        if host not in hosts:
            hint = did_you_mean(host, hosts) or "; name it in listen.hosts or as a service's host"
            yield ("tls", "hosts", host), f"the gateway has no host {host!r}{hint}"
    if tls.acme is None:
        return
    certified = _certified(config)
    if not certified:
        yield ("tls", "acme"), "acme needs the host names to certify: give them as listen.hosts"
    if tls.acme.challenge == "http-01":
        if config.listen.http is None:
            yield (
                ("tls", "acme", "challenge"),
                "http-01 is answered over plain http: set http under listen (port 80), "
                "or use dns-01",
            )
        for host in certified:
            if host.startswith("*."):
                yield (
                    ("tls", "acme", "challenge"),
                    f"a wildcard ({host}) is only certified by challenge: dns-01",
                )


def tls_doubts(config: Config) -> Iterator[Finding]:
    """What works and is probably not meant."""
    tls = config.tls
    if tls is None or tls.acme is None or config.listen.https is None:
        return
    for index, host in enumerate(config.listen.hosts):
        if is_ip(host) and host not in tls.hosts:
            yield (
                ("listen", "hosts", index),
                f"no certificate is asked for an address: clients of https://{host} get one "
                "for another name",
            )
    if _certified(config) and not config.listen.hosts:
        yield (
            ("tls", "acme"),
            "the API itself has no host name (listen.hosts): its certificate is self-signed",
        )


def missing_tls_files(config: Config, folder: Path) -> Iterator[Finding]:
    """Files that the section names and that are not there. folder: of the configuration."""
    tls = config.tls
    if tls is None:
        return
    named: list[tuple[tuple[str | int, ...], str | None]] = [(("client_ca",), tls.client_ca)]
    pairs = [((), tls.files), *((("hosts", h), each.files) for h, each in tls.hosts.items())]
    for where, files in pairs:
        if files is not None:
            named.append(((*where, "files", "certificate"), files.certificate))
            named.append(((*where, "files", "key"), files.key))
    named += [(("hosts", host, "client_ca"), each.client_ca) for host, each in tls.hosts.items()]
    if tls.acme is not None:
        named.append((("acme", "ca"), tls.acme.ca))
        named.append((("acme", "dns_hook"), tls.acme.dns_hook))
    for path, name in named:
        if name is not None and not (folder / name).is_file():
            yield ("tls", *path), f"there is no file {name}"
    hook = tls.acme.dns_hook if tls.acme else None
    if hook is not None and (folder / hook).is_file() and not os.access(folder / hook, os.X_OK):
        yield ("tls", "acme", "dns_hook"), f"{hook} is not executable (chmod +x)"


def _hosts(config: Config) -> list[str]:
    services = [service.host for service in config.services.values() if service.host]
    return [*config.listen.hosts, *services]


def _certified(config: Config) -> list[str]:
    """The hosts that an authority is asked to certify."""
    own = config.tls.hosts if config.tls else {}
    return [
        host
        for host in _hosts(config)
        if not is_ip(host)
        and not (host in own and (own[host].files is not None or own[host].self_signed))
    ]
