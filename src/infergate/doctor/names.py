"""Whether the names of services and the database resolve, as this machine asks for them. Those of
backends are asked for with their backends (backends.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from infergate.config.addresses import is_ip
from infergate.config.root import Config
from infergate.hardening.check import Check, bad, good
from infergate.health.resolve import resolves

_WITHIN_S = 5.0
"""resolv.conf(5): how long the resolver waits for one name server."""


def check_names(config: Config) -> Iterator[Check]:
    """Every such host that is no address, asked for once."""
    names = _names(config)
    found = asyncio.run(_resolved(list(names)))
    for host, resolved in found.items():
        if resolved:
            continue
        said = "is not answered by the name server" if resolved is None else "does not resolve"
        yield bad(
            f"dns.{host}",
            "high",
            f"the name {host} of {names[host]} {said}",
            f"`getent hosts {host}` asks as the gateway does; write the address, or mend DNS.",
        )
    if found and all(found.values()):
        yield good("dns", "high", "the names of services and the database resolve")


def _names(config: Config) -> Mapping[str, str]:
    """Host → what of the configuration names it first."""
    urls = {f"the service {name}": each.url for name, each in config.services.items()}
    if config.store.url is not None:
        urls["the store"] = config.store.url.get_secret_value()
    found: dict[str, str] = {}
    for where, url in urls.items():
        host = urlsplit(url).hostname or ""
        if host and not is_ip(host):
            found.setdefault(host, where)
    return found


async def _resolved(hosts: list[str]) -> dict[str, bool | None]:
    """None: no answer in time."""

    async def one(host: str) -> bool | None:
        try:
            return await asyncio.wait_for(resolves(host), _WITHIN_S)
        except TimeoutError:
            return None

    return dict(zip(hosts, await asyncio.gather(*map(one, hosts)), strict=True))
