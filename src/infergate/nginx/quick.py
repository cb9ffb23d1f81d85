"""The short way of most requests (njs/hot.js): one upstream of all backends, chosen from by a hash.

nginx names the upstream of a request before it has the body, and picks the server within it after.
So njs, which needs the body to decide, can only decide on the server: the upstream hashes a key,
and for each backend a key is found here that hashes to its place. One place is our own internal
server, for requests that njs does not decide on: no key leads there.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.nginx.relays import Relay, relay_with, relays_of, rungs

HASHED_PREFIX = "p"
"""Stands before the key, because nginx takes turns where what it hashes is empty."""


def quick_backends(config: Config) -> list[str]:
    """The backends that the short way leads to: plain http, no path of their own."""
    return [name for name, each in config.backends.items() if is_quick(each)]


def is_quick(backend: Backend) -> bool:
    """Whether the short way leads to it."""
    return backend.scheme == "http" and not backend.path_prefix


def quick_relay(config: Config) -> Relay:
    """The timeouts of the short way: the general ones."""
    return relay_with(config.timeouts, https=False, verify_tls=True)


def longest_relay(config: Config) -> Relay | None:
    """Where the short way hands on what needs the longest time; None where there is no such."""
    if config.timeouts.first_byte is not None:
        return None
    least = quick_relay(config)
    longest = [*rungs(least, config.timeouts)][-1:]
    return longest[0] if longest and longest[0] in relays_of(config) else None


def _place(key: str, places: int) -> int:
    """Where nginx's `hash` (not consistent) puts a key among servers of weight 1.

    https://github.com/nginx/nginx/blob/release-1.26.3/src/http/modules/ngx_http_upstream_hash_module.c
    """
    return ((zlib.crc32((HASHED_PREFIX + key).encode()) >> 16) & 0x7FFF) % places


def servers(config: Config) -> list[str | None]:
    """The servers of the upstream in order: names of backends, and None for the internal server."""
    names: list[str | None] = list(quick_backends(config))
    names.insert(_place("", len(names) + 1), None)
    return names


def peers(config: Config) -> Mapping[str, str]:
    """Backend → the key that leads to it; those that the short way does not lead to are absent."""
    order = servers(config)
    found: dict[int, str] = {}
    number = 0
    while len(found) < len(order):
        found.setdefault(_place(str(number), len(order)), str(number))
        number += 1
    return {name: found[place] for place, name in enumerate(order) if name is not None}
