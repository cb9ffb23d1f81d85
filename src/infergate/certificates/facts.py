"""What a certificate on disk says of itself."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from infergate.errors import CertificateError


@dataclass(frozen=True)
class Facts:
    """The first certificate of a PEM file.

    names: the hosts it is for, in lower case. issuer: who signed it, in a word.
    not_before, not_after: Unix seconds. serial: hexadecimal.
    sha256: its fingerprint, hexadecimal. ocsp: the URL that tells whether it was revoked, if any.
    chained: whether its issuer follows in the file, where it did not sign itself.
    """

    names: tuple[str, ...]
    issuer: str
    not_before: float
    not_after: float
    serial: str
    sha256: str
    ocsp: str | None
    chained: bool

    @property
    def lifetime_s(self) -> float:
        """How long it is valid in all."""
        return self.not_after - self.not_before

    def covers(self, host: str) -> bool:
        """Whether a client that asks for this host takes it (RFC 6125: one label for a star)."""
        host = host.lower().rstrip(".").strip("[]")
        return host in self.names or f"*.{host.partition('.')[2]}" in self.names


def facts_of(pem: bytes, where: str) -> Facts:
    """What the first certificate of a PEM text says.

    Raises CertificateError if there is none that can be read.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise CertificateError(
            "holds no certificate in PEM form",
            where=where,
            hint="It starts with -----BEGIN CERTIFICATE-----, the server's own first.",
        ) from None
    first = chain[0]
    return Facts(
        names=_names(first),
        issuer=_issuer(first),
        not_before=first.not_valid_before_utc.timestamp(),
        not_after=first.not_valid_after_utc.timestamp(),
        serial=f"{first.serial_number:x}",
        sha256=first.fingerprint(hashes.SHA256()).hex(),
        ocsp=_ocsp(first),
        chained=first.issuer == first.subject or any(_signed(first, by) for by in chain[1:]),
    )


def read_facts(path: Path) -> Facts:
    """The same of a file. Raises CertificateError, also if it cannot be read."""
    try:
        return facts_of(path.read_bytes(), str(path))
    except OSError as problem:
        raise CertificateError(f"cannot be read: {problem.strerror}", where=str(path)) from None


def date(unix_s: float) -> str:
    """A day as people write it, in UTC."""
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d")


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    return (*names, *(str(each) for each in found.get_values_for_type(x509.IPAddress)))


def _issuer(certificate: x509.Certificate) -> str:
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        found = certificate.issuer.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return certificate.issuer.rfc4514_string() or "?"


def _ocsp(certificate: x509.Certificate) -> str | None:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except x509.ExtensionNotFound:
        return None
    for each in access.value:
        if each.access_method == AuthorityInformationAccessOID.OCSP:
            return str(each.access_location.value)
    return None


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
