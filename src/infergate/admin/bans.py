"""Networks that are no longer answered."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import LARGEST, Document, Request, operation
from infergate.bans.judge import Network, network_of, protected_networks, protector_of
from infergate.config.root import Config
from infergate.errors import NotThere, UserError
from infergate.live.bans import enforce
from infergate.store import bans as store

Networked = Annotated[
    str,
    Field(
        min_length=1,
        max_length=60,
        json_schema_extra={"format": "ip-network"},
        description="An address, or 203.0.113.0/24.",
    ),
]


class BanEntry(Document):
    """One network."""

    network: str
    since: int = Field(description="Unix seconds.")
    until: int | None = Field(description="Unix seconds; null: for ever.")
    reason: str
    times: int = Field(description="How often it was banned, this time included.")


class BanList(Document):
    """Those that are banned now, the newest first."""

    mode: Literal["off", "detect", "block"] = Field(description="Whether offenders are looked for.")
    items: list[BanEntry]


class NewBan(Request):
    """Who is banned, and for how long."""

    network: Networked
    duration_s: float | None = Field(
        None, ge=1, le=LARGEST / 2, description="bans.duration, where it is not said."
    )
    forever: bool = Field(False, description="Until it is removed.")
    reason: str = Field("by hand", max_length=256, description="Why, for the list.")


class Unbanned(Document):
    """A network that is answered again."""

    network: str


@operation("GET", "/bans")
def list_bans(gateway: Gateway) -> BanList:
    """Who is banned now, since when and why."""
    found = store.active_bans(gateway.database)
    return BanList(
        mode=gateway.loaded.config.bans.mode, items=[BanEntry(**vars(each)) for each in found]
    )


@operation("POST", "/bans")
def add_ban(gateway: Gateway, body: NewBan) -> BanEntry:
    """Answer an address or a network no more, at once."""
    config = gateway.loaded.config
    whom = _network(body.network, config)
    protector = protector_of(whom, protected_networks(config))
    if protector is not None:
        raise UserError(
            f"{whom} is not banned: {protector} never is",
            where=str(gateway.declared.path),
            hint="Loopback, access.allow, trusted proxies and bans.never are protected.",
        )
    duration_s = config.bans.duration if body.duration_s is None else body.duration_s
    duration = None if body.forever else duration_s
    made = store.ban(gateway.database, str(whom), duration_s=duration, reason=body.reason)
    _enforce(gateway)
    return BanEntry(**vars(made))


@operation("DELETE", "/bans")
def remove_ban(gateway: Gateway, *, network: Networked) -> Unbanned:
    """Answer it again."""
    whom = _network(network, gateway.loaded.config)
    if not store.unban(gateway.database, str(whom)):
        around = next(
            (
                each.network
                for each in store.active_bans(gateway.database)
                if _contains(ipaddress.ip_network(each.network), whom)
            ),
            None,
        )
        hint = f"It is in {around}, which is." if around else "`infergate bans list` shows who is."
        raise NotThere(f"{whom} is not banned", hint=hint)
    _enforce(gateway)
    return Unbanned(network=str(whom))


def _network(text: str, config: Config) -> Network:
    if "/" not in text:
        found = network_of(text, config.bans.ipv6_prefix)
        if found is not None:
            return found
    try:
        return ipaddress.ip_network(text)
    except ValueError as problem:
        raise UserError(f"{text!r} is not an address or a network: {problem}") from None


def _contains(network: Network, other: Network) -> bool:
    return network.version == other.version and network.overlaps(other)


def _enforce(gateway: Gateway) -> None:
    enforce(gateway.home, [each.network for each in store.active_bans(gateway.database)])
