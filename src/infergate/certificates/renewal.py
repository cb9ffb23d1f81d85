"""When a certificate is due, and when to try again. Pure: times come in, times go out."""

from __future__ import annotations

import random

from infergate.certificates.facts import Facts
from infergate.certificates.record import Record
from infergate.certificates.sites import Site
from infergate.config.tls import Acme

RENEW_AT = 2 / 3
"""Of the lifetime, as Let's Encrypt advises where an authority does not say by itself."""

_EARLIER = 1 / 30
"""Up to so much of the lifetime before: not all gateways of the world at the same time."""

_FIRST_WAIT_S = 15 * 60.0
_LONGEST_WAIT_S = 24 * 3600.0
"""Let's Encrypt allows five failed validations of a name in an hour."""

_FIRST_WAIT_UNASKED_S = 60.0
_LONGEST_WAIT_UNASKED_S = 3600.0
"""Where the authority was not reached, it counts nothing."""


def wanted(site: Site, acme: Acme) -> str:
    """What is asked for, as one text to compare."""
    return " ".join((acme.asked, acme.challenge, acme.key_type, acme.profile or "-", *site.names))


def renew_at(facts: Facts, record: Record) -> float:
    """When to renew, in Unix seconds: when the authority says, else after two thirds."""
    if record.renew_at:
        return min(record.renew_at, facts.not_after)
    earlier = random.Random(facts.serial).uniform(0, _EARLIER)  # noqa: S311 - spreads load
    return facts.not_before + facts.lifetime_s * (RENEW_AT - earlier)


def why_due(site: Site, acme: Acme, facts: Facts | None, record: Record, now: float) -> str | None:
    """Why a certificate is needed now; None if it is not."""
    if facts is None:
        return "there is none yet"
    missing = [name for name in site.names if name not in facts.names]
    if missing:
        return f"it is not for {', '.join(missing)}"
    if record.directory != acme.asked:
        return "it is from another authority"
    if now >= facts.not_after:
        return "it has expired"
    if now >= renew_at(facts, record):
        return "its time is nearly up"
    return None


def may_try(site: Site, acme: Acme, record: Record, now: float) -> bool:
    """Whether enough time has passed since a failure. Another request than last time may."""
    return record.wanted != wanted(site, acme) or now >= record.next_try


def next_try(failures: int, now: float, *, not_before: float | None, asked: bool) -> float:
    """When to try again after so many failures in a row: doubling, with a tenth of chance.

    not_before: what the authority said. asked: whether it was reached at all.
    """
    first = _FIRST_WAIT_S if asked else _FIRST_WAIT_UNASKED_S
    longest = _LONGEST_WAIT_S if asked else _LONGEST_WAIT_UNASKED_S
    wait_s = min(first * 2.0 ** min(failures - 1, 20), longest)
    spread = random.uniform(1.0, 1.1)  # noqa: S311 - spreads load
    return max(now + wait_s * spread, not_before or 0.0)
