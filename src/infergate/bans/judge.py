"""Adds offences up, and says whose are too many. No I/O."""

from __future__ import annotations

import ipaddress
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from infergate.bans.offences import Offence
from infergate.config.bans import Bans
from infergate.config.root import Config

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = ("127.0.0.0/8", "::1/128")
_MOST_ADDRESSES = 100_000
"""Remembered at once, some 50 MB; of more, the ones that offended longest ago are forgotten."""


@dataclass(frozen=True)
class Offender:
    """Who is to be banned, and why."""

    network: str
    reason: str


def protected_networks(config: Config) -> tuple[Network, ...]:
    """Who is never banned: this machine, those the operator lets in by name, and proxies."""
    names = (
        *_LOOPBACK,
        *config.bans.never,
        *config.access.allow,
        *config.access.trusted_proxies,
    )
    return tuple(ipaddress.ip_network(name) for name in names)


def protector_of(network: Network, protected: Sequence[Network]) -> Network | None:
    """The protected network that a ban of this one would hit; None if there is none."""
    return next(
        (each for each in protected if each.version == network.version and each.overlaps(network)),
        None,
    )


def network_of(ip: str, ipv6_prefix: int) -> Network | None:
    """What is banned for an address; None for what is no address, such as a unix socket.

    An IPv6 client has a whole network to change its address in, mostly a /64 (RFC 6177).
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return ipaddress.IPv4Network(address.ipv4_mapped)
        # By number: a zone, as in fe80::1%eth0, is of this machine.
        return ipaddress.IPv6Network((int(address), ipv6_prefix), strict=False)
    return ipaddress.IPv4Network(address)


def client_network(ip: str) -> str:
    """Who is counted as one client: an IPv4 address, an IPv6 /64; what is no address, as it is.

    nginx counts the same: see `$ig_client` in access.conf.
    """
    network = network_of(ip, 64)
    return ip if network is None else str(network)


def ban_duration_s(settings: Bans, times: int) -> float:
    """How long a ban lasts for who was banned so many times before."""
    return min(settings.duration * 2.0 ** min(times, 40), max(settings.longest, settings.duration))


class Judge:
    """The offences of the last while, by network."""

    def __init__(self) -> None:
        self._offences: dict[Network, deque[tuple[float, str]]] = {}

    def see(
        self,
        offence: Offence,
        settings: Bans,
        protected: Sequence[Network],
        banned: Collection[str] = (),
    ) -> Offender | None:
        """Take an offence; the offender if it was one too many. Its count starts anew then.

        banned: networks (CIDR) that are already. What they do until nginx knows of it, or on a
            connection that was open before, does not count for the next ban.
        """
        limit = getattr(settings.offences, offence.kind)
        network = network_of(offence.ip, settings.ipv6_prefix)
        if not limit or network is None or protector_of(network, protected):
            return None
        if str(network) in banned:
            self._offences.pop(network, None)
            return None
        seen = self._offences.pop(network, deque())
        seen.append((offence.ts, offence.kind))
        while seen[0][0] < offence.ts - settings.within:
            seen.popleft()
        counts = Counter(kind for _, kind in seen)
        limits = {kind: getattr(settings.offences, kind) for kind in counts}
        # A limit may have become 0 since; 1e-9: ten tenths are one.
        share = sum(count / limits[kind] for kind, count in counts.items() if limits[kind])
        if share >= 1 - 1e-9:
            said = ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items()))
            return Offender(str(network), f"{said} within {settings.within:g} s")
        self._offences[network] = seen  # at the end: the order is that of the last offence
        if len(self._offences) > _MOST_ADDRESSES:
            self._offences.pop(next(iter(self._offences)))
        return None

    def forget_before(self, ts: float) -> None:
        """Drop those whose last offence is older."""
        while self._offences and next(iter(self._offences.values()))[-1][0] < ts:
            self._offences.pop(next(iter(self._offences)))
