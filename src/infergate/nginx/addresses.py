"""The host names of a configuration, and the addresses that they have now."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from infergate.config.addresses import is_ip
from infergate.config.backends import Backend
from infergate.config.root import Config

_RESOLVE_TIMEOUT_S = 3.0

Addresses = Mapping[str, tuple[str, ...]]
"""What names resolve to."""


def host_names(config: Config) -> frozenset[str]:
    """Every host name, not address, that the configuration's backends and services are at."""
    urls = [backend.url for backend in config.backends.values()]
    urls += [service.http_url for service in config.services.values()]
    urls += [each.forward.url for each in config.services.values() if each.forward]
    hosts = {Backend(url=url).host for url in urls}
    return frozenset(host for host in hosts if not is_ip(host))


def resolve(names: Iterable[str]) -> Addresses:
    """The addresses of each name, sorted; a name that does not resolve in 3 s is left out.

    The machine's own resolver is asked, so /etc/hosts, mDNS and a VPN's names work, and nginx
    itself never waits for DNS: with an unknown name in an upstream it would not start at all.
    """
    names = sorted(names)
    pool = ThreadPoolExecutor(max_workers=max(1, min(32, len(names))))
    pending = {name: pool.submit(_addresses, name) for name in names}
    found = {}
    for name, answer in pending.items():
        try:
            found[name] = answer.result(timeout=_RESOLVE_TIMEOUT_S)
        except (OSError, UnicodeError, TimeoutError):
            continue
    pool.shutdown(wait=False, cancel_futures=True)
    return found


def _addresses(name: str) -> tuple[str, ...]:
    answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    # IPv4 first, as nginx has no happy eyeballs and home networks often route no IPv6.
    return tuple(sorted({str(a[4][0]) for a in answers}, key=lambda ip: (":" in ip, ip)))
