"""A certificate from an ACME authority, asked for and put where nginx finds it."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from pathlib import Path

from acme import crypto_util, errors, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from infergate.certificates.account import forget, member, stranger
from infergate.certificates.challenge import answered
from infergate.certificates.facts import Facts, facts_of
from infergate.certificates.record import (
    Record,
    certificate_path,
    read_record,
    write_record,
)
from infergate.certificates.renewal import next_try, wanted, why_due
from infergate.certificates.served import facts_at
from infergate.certificates.sites import Site
from infergate.certificates.trouble import in_words
from infergate.config.tls import Acme
from infergate.errors import NotIssued
from infergate.files import locked, write_atomically
from infergate.paths import Home

_DECIDES_WITHIN_S = 180

_UNENDED_WAIT_S = 60.0
"""Before the next attempt, doubled each time, where one began and did not end."""


def issue(site: Site, acme: Acme, folder: Path, home: Home, *, only_due: bool = False) -> Facts:
    """Get a certificate for a site's names and store it; nginx still has to be told.

    folder: of the configuration. only_due: not if another process has got one meanwhile.
    Raises NotIssued, and remembers it for the next attempt.
    """
    home.acme.mkdir(parents=True, exist_ok=True, mode=0o700)
    asked_for = wanted(site, acme)
    with locked(home.acme / "lock"):
        record, now = read_record(site, home), time.time()
        present = facts_at(certificate_path(site, home)) if only_due else None
        if present is not None and why_due(site, acme, present, record, now) is None:
            return present
        # Noted first: what cannot be stored must not be asked for again and again.
        soon = now + _UNENDED_WAIT_S * 2.0 ** min(record.failures, 10)
        begun = replace(record, failures=record.failures + 1, next_try=soon, wanted=asked_for)
        write_record(site, home, begun)
        try:
            pem = ask(site, acme, folder, home)
        except NotIssued as problem:
            failures = record.failures + 1 if record.wanted == asked_for else 1
            later = next_try(failures, now, not_before=problem.not_before, asked=problem.asked)
            failed = replace(
                record,
                wanted=asked_for,
                failures=failures,
                problem=f"{problem.where}: {problem.what}",
                hint=problem.hint or "",
                next_try=later,
            )
            write_record(site, home, failed)
            raise
        write_atomically(certificate_path(site, home), pem, mode=0o600)
        write_record(site, home, Record(directory=acme.asked, wanted=asked_for))
        return facts_of(pem.encode(), str(certificate_path(site, home)))


def ask(site: Site, acme: Acme, folder: Path, home: Home) -> str:
    """The same without storing it: the chain and a new key, as one PEM text.

    Raises NotIssued.
    """
    home.acme.mkdir(parents=True, exist_ok=True, mode=0o700)
    with in_words(site.names, acme):
        try:
            return _ask(site, acme, folder, home)
        except messages.Error as problem:
            if problem.code != "accountDoesNotExist":
                raise
            forget(acme, home)
            return _ask(site, acme, folder, home)


def _ask(site: Site, acme: Acme, folder: Path, home: Home) -> str:
    client = member(acme, folder, home)
    key = _new_key(acme)
    csr = crypto_util.make_csr(key.encode(), list(site.names))
    order = client.new_order(csr, profile=acme.profile)
    with answered(client, order, acme, folder, home):
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=_DECIDES_WITHIN_S)
        order = client.poll_and_finalize(order, deadline)
    if not order.fullchain_pem:
        raise errors.Error("the authority gave no certificate")
    return f"{order.fullchain_pem.strip()}\n{key}"


def suggestion(acme: Acme, folder: Path, pem: bytes, now: float) -> tuple[float, float]:
    """When the authority wants it renewed (0: it does not say), and when to ask again.

    Raises NotIssued if it cannot be asked.
    """
    with in_words(["ARI"], acme):
        moment, again = stranger(acme, folder).renewal_time(pem)
        return (moment.timestamp() if moment else 0.0), max(again.timestamp(), now + 60)


def _new_key(acme: Acme) -> str:
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if acme.key_type == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
