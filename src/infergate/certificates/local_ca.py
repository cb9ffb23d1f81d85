"""Certificates made here, for a LAN or until an authority has issued one.

One CA for each gateway signs them: a client that was given the CA once trusts every later
certificate, also for other names.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infergate.certificates.facts import read_facts
from infergate.certificates.sites import CA_NAME
from infergate.config.addresses import is_ip
from infergate.errors import CertificateError
from infergate.files import write_atomically
from infergate.paths import Home

CA_DAYS = 3650
LEAF_DAYS = 90
"""The longest that Mozilla's modern profile takes; it is made anew after two thirds."""


def certificate_for(hosts: tuple[str, ...], home: Home) -> Path:
    """A certificate of our CA and its key, in one file, for these hosts; made if need be."""
    path = home.local_certificate(hosts)
    if not _still_good(path, hosts):
        for folder in (home.tls, home.public):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca, key = _authority(home)
        write_atomically(path, _leaf(hosts, ca, key), mode=0o600)
    return path


def own_names() -> tuple[str, ...]:
    """This machine's names and addresses, as another one of its network would write them."""
    host = socket.gethostname().lower()
    names = ["localhost", "127.0.0.1", "::1", host]
    if "." not in host:
        names.append(f"{host}.local")  # mDNS, RFC 6762
    for family, anywhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((anywhere, 9))  # of a datagram socket: sends nothing
                names.append(str(probe.getsockname()[0]))
            except OSError:
                continue  # no way out with this family
    return tuple(dict.fromkeys(names))


def _still_good(path: Path, hosts: tuple[str, ...]) -> bool:
    try:
        facts = read_facts(path)
    except CertificateError:
        return False
    return (
        set(facts.names) == {_written(host) for host in hosts}
        and time.time() < facts.not_before + facts.lifetime_s * 2 / 3
    )


def _written(host: str) -> str:
    """A host as a certificate's names are read back."""
    return str(ipaddress.ip_address(host.strip("[]"))) if is_ip(host) else host.lower().rstrip(".")


def _authority(home: Home) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The gateway's CA and its key, made at the first need and again when its time is nearly up."""
    try:
        ca = x509.load_pem_x509_certificate(home.ca.read_bytes())
        key = serialization.load_pem_private_key(home.ca_key.read_bytes(), None)
    except FileNotFoundError:
        pass
    else:
        left = ca.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        if isinstance(key, ec.EllipticCurvePrivateKey) and left.days > LEAF_DAYS:
            return ca, key
    new = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"{CA_NAME} at {socket.gethostname()}"[:64])]
    )
    ca = (
        _builder(name, name, new.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(new.public_key()), critical=False)
        .sign(new, hashes.SHA256())
    )
    write_atomically(home.ca_key, _key_pem(new), mode=0o600)
    write_atomically(home.ca, _pem(ca), mode=0o644)
    return ca, new


def _leaf(hosts: tuple[str, ...], ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Infergate self-signed")])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    leaf = (
        _builder(name, ca.subject, key.public_key(), LEAF_DAYS)
        .add_extension(x509.SubjectAlternativeName(_general_names(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return _pem(leaf) + _pem(ca) + _key_pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clients' clocks are wrong, too
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    return [
        x509.IPAddress(ipaddress.ip_address(host)) if is_ip(host) else x509.DNSName(host)
        for host in dict.fromkeys(_written(host) for host in hosts)
    ]


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
