"""The backends of a group that DNS names: an address each, or an SRV record each.

The machine's name servers are asked by dnspython and not by its resolver: only so is a record's TTL
known, and SRV records at all. /etc/hosts and mDNS are not asked; a file can be (group_file.py).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver

from infergate.config.addresses import is_ip
from infergate.config.backends import NOWHERE, Backend, Discover, FoundBackend
from infergate.health.group_names import MOST, GroupUnknown, name_of

TIMEOUT_S = 5.0
"""For one question, repetitions included: what resolv.conf(5) has for one attempt."""


@dataclass(frozen=True)
class DnsAnswer:
    """The backends, and for how many seconds they may be believed."""

    backends: tuple[FoundBackend, ...]
    ttl_s: float


async def look_up(group: str, discover: Discover) -> DnsAnswer:
    """Ask for the addresses behind discover.dns.

    Where a name has addresses of both kinds, those of IPv4 count: they are the same machines.
    Of SRV records only those with the lowest priority do (RFC 2782).
    Raises GroupUnknown with the reason if there are none or nobody answers.
    """
    at = Backend(url=discover.dns or NOWHERE)
    resolver = _resolver(discover.name_server)
    try:
        if at.host.startswith("_"):
            return await _services(resolver, group, at)
        addresses, ttl_s = await _addresses(resolver, at.host)
    except dns.exception.DNSException as problem:
        raise GroupUnknown(_in_words(problem, at.host)) from None
    found = [(each, at.port, None) for each in addresses]
    return DnsAnswer(_backends(group, at, found, with_port=False), ttl_s)


async def _services(resolver: dns.asyncresolver.Resolver, group: str, at: Backend) -> DnsAnswer:
    answer = await resolver.resolve(at.host, "SRV", search=True)
    records = list(answer)
    first = min(record.priority for record in records)
    chosen = [record for record in records if record.priority == first]
    targets = [str(record.target).rstrip(".") for record in chosen]
    asked = await asyncio.gather(*(_addresses(resolver, each) for each in targets))
    weights = _weights([record.weight for record in chosen])
    found = [
        (addresses[0], record.port, weight)
        for record, weight, (addresses, _) in zip(chosen, weights, asked, strict=True)
    ]
    ttl_s = min(_ttl_s(answer), *(ttl for _, ttl in asked))
    return DnsAnswer(_backends(group, at, found, with_port=True), ttl_s)


async def _addresses(
    resolver: dns.asyncresolver.Resolver, host: str
) -> tuple[Sequence[str], float]:
    if is_ip(host):
        return [host], math.inf
    try:
        answer = await resolver.resolve(host, "A", search=True)
    except dns.resolver.NoAnswer:
        answer = await resolver.resolve(host, "AAAA", search=True)
    return sorted(record.address for record in answer), _ttl_s(answer)


def _resolver(server: str | None) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=server is None)
    except dns.exception.DNSException:
        raise GroupUnknown("/etc/resolv.conf names no name server") from None
    if server is not None:
        host, _, port = server.rpartition(":")
        resolver.nameservers = [host.strip("[]")]
        resolver.port = int(port)
    resolver.lifetime = TIMEOUT_S
    return resolver


def _ttl_s(answer: dns.resolver.Answer) -> float:
    return float(answer.chaining_result.minimum_ttl)


def _weights(weights: Sequence[int]) -> Iterable[int | None]:
    """SRV's weights, 0 to 65,535, as ours, 1 to 1,000; the group's own where all are the same."""
    if len(set(weights)) == 1:
        return [None] * len(weights)
    divisor = math.gcd(*weights)
    scale = min(1.0, 1000 / (max(weights) / divisor))
    return [max(1, round(weight / divisor * scale)) for weight in weights]


def _backends(
    group: str, at: Backend, found: Iterable[tuple[str, int, int | None]], *, with_port: bool
) -> tuple[FoundBackend, ...]:
    path = urlsplit(at.url).path
    backends = {}
    for address, port, weight in found:
        host = f"[{address}]" if ":" in address else address
        name = name_of(group, f"{address}-{port}" if with_port else address)
        backends[name] = FoundBackend(name=name, url=f"http://{host}:{port}{path}", weight=weight)
    return tuple(backends[name] for name in sorted(backends))[:MOST]


def _in_words(problem: dns.exception.DNSException, host: str) -> str:
    if isinstance(problem, dns.resolver.NXDOMAIN):
        return f"there is no name {host} in DNS"
    if isinstance(problem, dns.resolver.NoAnswer):
        kind = "SRV record" if host.startswith("_") else "address"
        return f"the name {host} has no {kind}"
    if isinstance(problem, dns.exception.Timeout):
        return f"no name server answered within {TIMEOUT_S:g} s"
    return f"the name servers cannot tell {host}"
