"""The certificate that https listeners serve: from files, or made here."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infergate.config.load import LoadedConfig
from infergate.config.types import is_ip
from infergate.files import write_atomically
from infergate.paths import Home

_VALID_DAYS = 397
"""The longest that browsers accept of a certificate (CA/Browser Forum ballot SC31)."""
_RENEW_DAYS = 30


def certificate_for(loaded: LoadedConfig, home: Home) -> tuple[Path | None, Path | None]:
    """The paths of the certificate and its key; (None, None) without an https listener.

    A self-signed one is made when there is none for these hosts, or when it ends in 30 days. It
    also stands in until an ACME authority has issued one.
    """
    tls = loaded.config.tls
    if tls is None or loaded.config.listen.https is None:
        return None, None
    if tls.files is not None:
        return loaded.resolve(tls.files.certificate), loaded.resolve(tls.files.key)
    hosts = [*loaded.config.listen.hosts] or ["localhost", "127.0.0.1"]
    hosts += [s.host for s in loaded.config.services.values() if s.host]
    certificate, key = home.tls / "self-signed.crt", home.tls / "self-signed.key"
    if not _still_good(certificate, hosts):
        home.tls.mkdir(parents=True, exist_ok=True, mode=0o700)
        certificate_pem, key_pem = self_signed(hosts)
        write_atomically(key, key_pem, mode=0o600)
        write_atomically(certificate, certificate_pem, mode=0o644)
    return certificate, key


def self_signed(hosts: list[str]) -> tuple[str, str]:
    """A new certificate for these names and addresses, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Infergate self-signed")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key_pem.decode()


def _names(hosts: list[str]) -> list[x509.GeneralName]:
    return [
        x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
        if is_ip(host)
        else x509.DNSName(host)
        for host in dict.fromkeys(hosts)
    ]


def _still_good(path: Path, hosts: list[str]) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return set(names) == set(_names(hosts)) and left.days > _RENEW_DAYS
