"""What the running gateway shows a stranger: its certificate and its headers."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infergate.certificates.sites import API, CA_NAME, Site, sites
from infergate.config.root import Config
from infergate.hardening.check import Check, bad, good, unknown

if TYPE_CHECKING:
    from cryptography import x509

_TIMEOUT_S = 3.0
_DAY_S = 86400.0
_SOON_DAYS = 14
"""Let's Encrypt's 90 days are renewed a month before they end: two weeks mean that it fails."""


def check_live(config: Config) -> Iterator[Check]:
    """The certificate and the headers, as the listeners of this gateway answer."""
    if config.listen.https:
        for site in sites(config):
            yield from _certificate(*reachable(config.listen.https), site)
    yield from _headers(config)


def reachable(address: str) -> tuple[str, int]:
    """Where this machine reaches a listener of the configuration: host and port."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return ("127.0.0.1" if host in ("*", "0.0.0.0") else "::1" if host == "::" else host), int(port)  # noqa: S104 - compared, not bound


def _certificate(host: str, port: int, site: Site) -> Iterator[Check]:
    from cryptography import x509

    from infergate.certificates.facts import facts_of
    from infergate.certificates.overview import refusals

    name = site.hosts[0].replace("*", "any") if site.hosts else None
    of = "" if site.name == API else f".{site.service or name}"
    shown = f"the certificate of {name}" if name else "the certificate"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), _TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=name or host) as secure,
        ):
            encoded = secure.getpeercert(binary_form=True)
    except OSError as problem:
        yield unknown(f"tls.certificate{of}", f"the https listener does not answer: {problem}")
        return
    certificate = x509.load_der_x509_certificate(encoded or b"")
    facts = facts_of(ssl.DER_cert_to_PEM_cert(encoded or b"").encode(), name or host)
    now = time.time()
    days = int((facts.not_after - now) / _DAY_S)
    refused = next(refusals(site, facts, now), None)
    if refused is not None:
        yield bad(f"tls.certificate{of}", "high", f"{shown}: {refused[0]}", refused[1])
    elif days < _SOON_DAYS:
        yield bad(
            f"tls.certificate{of}",
            "high",
            f"{shown} expires in {days} days",
            "Replace the file, or ask the authority: `infergate cert renew`.",
        )
    else:
        yield good(f"tls.certificate{of}", "high", f"{shown} is valid for {days} days more")
    if certificate.issuer == certificate.subject or _of_our_ca(certificate.issuer):
        yield bad(
            f"tls.authority{of}",
            "low",
            f"{shown} is self-signed: only clients that have its CA can tell us from others",
            "Give clients `infergate cert ca`, or get one by tls.acme.",
        )


def _of_our_ca(issuer: x509.Name) -> bool:
    return any(str(each.value).startswith(CA_NAME) for each in issuer)


def _headers(config: Config) -> Iterator[Check]:
    import httpx

    scheme = "https" if config.listen.https else "http"
    host, port = reachable(config.listen.https or config.listen.http or "")
    shown = f"[{host}]" if ":" in host else host
    name = next((each for each in config.listen.hosts if "*" not in each), shown)
    try:
        answer = httpx.get(
            f"{scheme}://{shown}:{port}/v1/models",
            headers={"Host": name},
            timeout=_TIMEOUT_S,
            verify=False,  # noqa: S501 - no secret is sent
            trust_env=False,
        )
    except httpx.HTTPError as problem:
        yield unknown("headers", f"the listener does not answer: {problem}")
        return
    server = answer.headers.get("server", "")
    if any(letter.isdigit() for letter in server):
        yield bad(
            "headers.server", "low", f"answers tell a version: {server}", "Report this to us."
        )
    else:
        yield good("headers.server", "low", "answers tell no version")
    if answer.headers.get("x-content-type-options") == "nosniff":
        yield good("headers.nosniff", "low", "browsers do not guess what an answer is")
    else:
        yield bad(
            "headers.nosniff",
            "low",
            "browsers may guess what an answer is: there is no X-Content-Type-Options",
            "A proxy before the gateway may set it, if clients are browsers.",
        )
