"""Whether the certificates and keys that the configuration names fit each other and their hosts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from infergate.certificates.facts import date, read_facts
from infergate.certificates.sites import sites
from infergate.config.load import LoadedConfig
from infergate.config.problems import Finding
from infergate.errors import CertificateError


def wrong_files(loaded: LoadedConfig) -> Iterator[Finding]:
    """What nginx cannot serve, each with the setting that names it."""
    for where, certificate, key in _pairs(loaded):
        try:
            read_facts(certificate)
            problem = _mismatch(certificate, key)
        except CertificateError as wrong:
            yield (*where, "certificate"), f"{certificate.name} {wrong.what}"
            continue
        if problem is not None:
            yield (*where, "key"), problem


def expired_files(loaded: LoadedConfig) -> Iterator[Finding]:
    """What nginx serves and no client takes. Files that cannot be read say nothing."""
    for where, certificate, _ in _pairs(loaded):
        with suppress(CertificateError):
            ended = read_facts(certificate).not_after
            if ended < time.time():
                yield (*where, "certificate"), f"{certificate.name} expired on {date(ended)}"


def doubtful_files(loaded: LoadedConfig) -> Iterator[Finding]:
    """What some clients will not take. Files that cannot be read say nothing."""
    for site in sites(loaded.config):
        if site.files is None:
            continue
        where = _where(loaded, site.hosts[0] if site.hosts else None)
        path = loaded.resolve(site.files.certificate)
        try:
            facts = read_facts(path)
        except CertificateError:
            continue
        for host in site.hosts:
            if not facts.covers(host):
                names = ", ".join(facts.names) or "no name"
                yield (*where, "certificate"), f"{path.name} is for {names}, not for {host}"
        if facts.not_before > time.time():
            starts = date(facts.not_before)
            yield (*where, "certificate"), f"{path.name} is not valid before {starts}"


def _pairs(loaded: LoadedConfig) -> Iterator[tuple[tuple[str, ...], Path, Path]]:
    """The setting, and the files of the certificate and of its key."""
    seen = set()
    for site in sites(loaded.config):
        if site.files is not None:
            where = _where(loaded, site.hosts[0] if site.hosts else None)
            if where not in seen:
                seen.add(where)
                yield (
                    where,
                    loaded.resolve(site.files.certificate),
                    loaded.resolve(site.files.key),
                )


def _where(loaded: LoadedConfig, host: str | None) -> tuple[str, ...]:
    tls = loaded.config.tls
    own = tls.hosts.get(host) if tls and host else None
    if own is not None and own.files is not None and host is not None:
        return ("tls", "hosts", host, "files")
    return ("tls", "files")


def _mismatch(certificate: Path, key: Path) -> str | None:
    """Why a key is not the certificate's; None if it is. Raises CertificateError if the certificate
    cannot be read."""
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as problem:
        return f"{key.name} cannot be read: {problem.strerror}"
    except TypeError:
        return (
            f"{key.name} is encrypted, and nobody is there to type its passphrase when nginx"
            f" starts: `openssl pkey -in {key.name} -out clear.key` writes it without"
        )
    except ValueError:
        return f"{key.name} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
    first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) == first.public_key().public_bytes(*form):
        return None
    return (
        f"{key.name} is not the key of {certificate.name}: name the pair that was made together"
        " (the server's own certificate comes first in its file)"
    )
