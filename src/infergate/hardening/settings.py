"""What the configuration alone tells."""

from __future__ import annotations

from collections.abc import Iterator

from infergate.config.addresses import is_loopback
from infergate.config.root import Config
from infergate.hardening.check import Check, bad, good
from infergate.nginx.waf import mode_of


def check_settings(config: Config) -> Iterator[Check]:
    """TLS, access, limits, the firewall and bans, as they are set."""
    outside = [
        address
        for address in (config.listen.http, config.listen.https)
        if address and not is_loopback(address)
    ]
    yield from _tls(config, outside)
    yield from _access(config, outside)
    yield from _firewall(config)


def _tls(config: Config, outside: list[str]) -> Iterator[Check]:
    if config.listen.https:
        yield good("tls.listener", "high", "clients are served over https")
        if config.tls is not None and config.tls.hsts and config.tls.hsts.max_age > 0:
            yield good("tls.hsts", "low", "browsers are told to use https only")
        else:
            yield bad(
                "tls.hsts",
                "low",
                "browsers are not told to use https only",
                "Write `hsts: true` under tls, once https works for all hosts.",
            )
    elif outside:
        yield bad(
            "tls.listener",
            "high",
            f"keys and prompts cross the network in clear ({', '.join(outside)})",
            "Write `https: 443` under listen and a tls: section; `self_signed: true` is enough"
            " on a LAN. Behind a proxy that does TLS, listen on loopback.",
        )
    else:
        yield good("tls.listener", "high", "only this machine reaches the listener")


def _access(config: Config, outside: list[str]) -> Iterator[Check]:
    open_to = config.auth.anonymous.networks
    if config.auth.required and open_to:
        yield bad(
            "access.keys",
            "low",
            f"anybody in {', '.join(open_to)} may use the models without a key",
            "Leave out auth.anonymous.networks if somebody may be there whom you do not know.",
        )
    elif config.auth.required:
        yield good("access.keys", "high", "requests need a key")
    elif outside:
        yield bad(
            "access.keys",
            "high",
            "anybody may use the models",
            "Write `required: true` under auth.",
        )
    else:
        yield bad(
            "access.keys",
            "low",
            "every user and program of this machine may use the models",
            "Write `required: true` under auth.",
        )
    if config.limits.per_ip:
        yield good("access.rate", "low", "an address has a rate limit")
    elif outside:
        yield bad(
            "access.rate",
            "low",
            "an address may send requests without end: guess keys, wear the gateway out",
            "Write `per_ip: { rate: 10r/s, burst: 20 }` under limits.",
        )
    for name, service in config.services.items():
        if service.auth == "none":
            yield bad(
                f"access.service.{name}",
                "low",
                f"{name} is reached without a key: only its own login protects it",
                f"Check that {name} has a login, or set `auth: key`.",
            )


def _firewall(config: Config) -> Iterator[Check]:
    modes = {name: mode_of(config, service) for name, service in config.services.items()}
    for mode, what in (("off", "is not inspected"), ("detect", "is inspected and never refused")):
        found = [name for name, each in modes.items() if each == mode]
        if found:
            yield bad(
                "waf.services",
                "medium" if mode == "off" else "low",
                f"what is sent to {', '.join(found)} {what}",
                "Write `waf: block`; look at `infergate waf` in mode detect before.",
            )
    if modes and set(modes.values()) == {"block"}:
        yield good("waf.services", "medium", "attacks on services are refused")
    if config.waf.mode == "block":
        yield good("waf.api", "low", "attacks in URLs and headers are refused")
    else:
        yield bad(
            "waf.api",
            "low",
            f"the firewall's mode for the API is {config.waf.mode}",
            "Write `waf: block`; prompts are not looked at.",
        )
    if config.bans.mode == "block":
        yield good("bans", "low", "who offends too often is banned")
    else:
        yield bad(
            "bans",
            "low",
            "who guesses keys or scans is answered for ever",
            "Write `bans: block`, or use `infergate bans fail2ban`.",
        )
