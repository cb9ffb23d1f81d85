"""Why an authority issued nothing, in words, and what to do about it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import josepy.errors
import requests
from acme import errors, messages

from infergate.config.tls import LETS_ENCRYPT, Acme
from infergate.errors import NotIssued

_AFTER = re.compile(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", re.IGNORECASE)
"""How Let's Encrypt says when its limit ends: "retry after 2026-03-01 12:00:00 UTC"."""

_UNRESOLVED = re.compile(r"not resolve|no such host|NXDOMAIN|SERVFAIL", re.IGNORECASE)
"""Pebble and step-ca call a name that has no address a failed connection."""

_HTTP_HINTS = {
    "dns": "Give {host} an A or AAAA record with the public address of this gateway; what the world"
    " sees: `dig +short {host} @1.1.1.1`. Without one: challenge: dns-01.",
    "connection": "Port 80 of {host} must lead from the internet to listen.http of this gateway:"
    " forward it at the router, open it in the firewall. Where that cannot be: challenge: dns-01.",
    "unauthorized": "Another machine or program answers at port 80 of {host}: look for an old A or"
    " AAAA record (IPv6 is tried first), a proxy or a CDN before this gateway.",
}
_DNS_HINTS = {
    "dns": "The TXT record _acme-challenge.{host} was not found: see what tls.acme.dns_hook did,"
    " or raise tls.acme.dns_wait.",
    "unauthorized": "The TXT record _acme-challenge.{host} holds something else: an old record, or"
    " one that is not seen everywhere yet (raise tls.acme.dns_wait).",
}
_HINTS = {
    "caa": "A CAA record of {host} or of a name above it forbids this authority: `dig CAA {host}`.",
    "rejectedIdentifier": "An authority only certifies names that exist in the public DNS, and some"
    " it refuses by policy. For a name of the LAN: tls.hosts with self_signed: true.",
    "externalAccountRequired": "Make an account at the authority's site and give its kid and"
    " hmac_key as tls.acme.eab.",
    "invalidContact": "The authority does not take tls.acme.email; write one that gets mail.",
    "unsupportedContact": "The authority does not take tls.acme.email.",
    "userActionRequired": "Its terms have changed; the link above says what to do.",
    "serverInternal": "The authority has a problem of its own; it is tried again.",
}
_SAME_AS = {
    "unknownHost": "dns",
    "dnssec": "dns",
    "incorrectResponse": "unauthorized",
    "tls": "connection",
    "invalidEmail": "invalidContact",
    "unsupportedIdentifier": "rejectedIdentifier",
}
_WHAT = {
    "dns": "the authority finds no address of this name",
    "connection": "the authority cannot reach this name's port 80",
    "unauthorized": "the authority got another answer than ours",
    "rateLimited": "the authority issues no more for now",
}


@contextmanager
def in_words(names: Sequence[str], acme: Acme) -> Iterator[None]:
    """Whatever the library raises inside becomes NotIssued. names: asked for."""
    try:
        yield
    except errors.ValidationError as failed:
        raise _validation(failed, names, acme) from failed
    except errors.IssuanceError as failed:
        raise explained(failed.error, names[0], acme) from failed
    except messages.Error as failed:
        raise explained(failed, names[0], acme) from failed
    except errors.TimeoutError as failed:
        raise NotIssued(
            "the authority did not decide in time",
            where=names[0],
            hint="It is tried again; the status page of the authority may say more.",
        ) from failed
    except requests.exceptions.SSLError as failed:
        raise NotIssued(
            "the authority's own certificate is not trusted",
            where=acme.asked,
            hint="For a private authority name its CA: tls.acme.ca.",
            asked=False,
        ) from failed
    except (josepy.errors.Error, KeyError, ValueError, AttributeError, TypeError) as failed:
        raise NotIssued(
            f"what answers there is no ACME directory ({type(failed).__name__})",
            where=acme.asked,
            hint="tls.acme.directory is the URL that the authority documents as such.",
            asked=False,
        ) from failed
    except (requests.exceptions.RequestException, errors.Error) as failed:
        raise NotIssued(
            f"the authority cannot be asked: {_short(failed)}",
            where=acme.asked,
            hint="This machine needs a way to it (DNS, firewall, HTTPS_PROXY).",
            asked=False,
        ) from failed


def explained(error: messages.Error, host: str, acme: Acme) -> NotIssued:
    """An authority's error (RFC 8555, 6.7), with the hint that helps."""
    if error.subproblems:
        first = error.subproblems[0]
        if first.identifier is not None:
            return explained(first, first.identifier.value, acme)
    if error.identifier is not None:
        host = error.identifier.value
    code = _SAME_AS.get(str(error.code), str(error.code))
    said = " ".join(str(error.detail or error.title or error.code or error.typ).split())
    if code == "connection" and _UNRESOLVED.search(said):
        code = "dns"
    what = f"{_WHAT[code]}: {said}" if code in _WHAT else f"the authority says: {said}"
    not_before = _not_before(said) if code == "rateLimited" else None
    if code == "rateLimited":
        hint: str | None = _limited(not_before, acme)
    else:
        by_challenge = _HTTP_HINTS if acme.challenge == "http-01" else _DNS_HINTS
        hint = by_challenge.get(code) or _HINTS.get(code)
        hint = hint.format(host=host) if hint else None
    if code == "dns" and acme.challenge == "dns-01":
        what = f"the authority finds no proof in the DNS: {said}"
    return NotIssued(what, where=host, hint=hint, not_before=not_before)


def _validation(failed: errors.ValidationError, names: Sequence[str], acme: Acme) -> NotIssued:
    for authorization in failed.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                return explained(challenge.error, authorization.body.identifier.value, acme)
    return NotIssued("the authority does not believe that the name is ours", where=names[0])


def _limited(not_before: float | None, acme: Acme) -> str:
    until = "later"
    if not_before is not None:
        moment = datetime.datetime.fromtimestamp(not_before, datetime.UTC)
        until = f"after {moment:%Y-%m-%d %H:%M} UTC"
    trials = " Try things out with tls.acme.staging: true." if acme.asked == LETS_ENCRYPT else ""
    return f"It is asked again {until}; what is there is served until then.{trials}"


def _not_before(said: str) -> float | None:
    found = _AFTER.search(said)
    if found is None:
        return None
    return datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00").timestamp()


def _short(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    reason = re.search(r"\[Errno [^\]]*\] [^'\")]+|timed out|Name or service not known", text)
    return reason[0] if reason else text[:200] or type(problem).__name__
