"""`infergate check` looks at the files that a configuration names, too."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.gateway import run_here

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Like tmp_path, and open to nginx's workers."""
    with tempfile.TemporaryDirectory(prefix=f"ig-{os.getpid()}-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def check(folder: Path, text: str, name: str = "infergate.yaml") -> tuple[int, str]:
    (folder / "infergate.yaml").write_text(text)
    ran = run_here(["check", "-c", str(folder / name)], {"INFERGATE_HOME": str(folder / "home")})
    return ran.returncode, ran.stdout + ran.stderr


def pair(folder: Path, name: str, *, days: int = 9, passphrase: bytes | None = None) -> None:
    """name.pem for api.test, and name.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.test")])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(20))
        .not_valid_after(NOW + datetime.timedelta(days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else None
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            hidden or serialization.NoEncryption(),
        )
    )


TLS = """listen: {{ https: "127.0.0.1:8443", hosts: [{host}] }}
tls: {{ files: {{ certificate: {certificate}.pem, key: {key}.key }} }}
backends: {{ a: http://127.0.0.1:1 }}
"""


def test_a_certificate_and_a_key_that_do_not_fit_are_told_by_line(folder: Path) -> None:
    for name in ("a", "b"):
        pair(folder, name)
    pair(folder, "old", days=-1)
    pair(folder, "shut", passphrase=b"secret")
    (folder / "none.pem").write_text("hello\n")
    (folder / "none.key").write_text("hello\n")

    def told(certificate: str, key: str, host: str = "api.test") -> tuple[int, str]:
        return check(folder, TLS.format(host=host, certificate=certificate, key=key))

    assert told("a", "a")[0] == 0
    code, said = told("a", "b")
    assert code == 2
    assert "infergate.yaml:2:42: b.key is not the key of a.pem" in said
    assert "nginx refuses" not in said
    assert "none.key holds no private key" in told("a", "none")[1]
    assert "none.pem holds no certificate" in told("none", "a")[1]
    assert "shut.key is encrypted" in told("shut", "shut")[1]
    code, said = told("old", "old")
    assert code == 2
    assert "infergate.yaml:2:30: old.pem expired on" in said
    code, said = told("a", "a", host="other.test")
    assert code == 0
    assert "warning: infergate.yaml:2:30: a.pem is for api.test, not for other.test" in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", '{"a": 1}'),
        ("list.json", "hello"),
        ("list.json", '["http://a:1", {"weight": 1}]'),
        ("list.conf", "hello"),
        ("list.conf", "server {"),
        ("list.yaml", None),
    ],
)
def test_a_list_of_backends_that_is_none_is_not_good(
    name: str, text: str | None, folder: Path
) -> None:
    if text is not None:
        (folder / name).write_text(text)
    code, said = check(folder, f"backends: {{ p: {{ discover: {{ file: {name} }} }} }}\n")
    assert code == 2
    assert "infergate.yaml:1:36: list." in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sk-one\nalice sk-two\n", "keys.txt: line 2 has no end"),
        ('"Bearer x" 1;\nalice sk-two;\n', "keys.txt: not understood: line 2"),
    ],
)
def test_a_keys_file_that_is_not_understood_is_not_good(folder: Path, text: str, said: str) -> None:
    (folder / "keys.txt").write_text(text)
    file = "backends: { a: http://127.0.0.1:1 }\nauth: { keys_file: keys.txt }\n"
    code, out = check(folder, file)
    assert code == 2
    assert f"infergate.yaml:2:20: {said}" in out
    assert "sk-" not in out


def test_the_backends_of_a_list_are_counted(folder: Path) -> None:
    (folder / "list.json").write_text('["http://127.0.0.1:1", "http://127.0.0.1:2"]')
    config = "backends: { p: { discover: { file: list.json } } }\n"
    assert "good: 2 backends" in check(folder, config)[1]
    (folder / "list.json").write_text("[]")
    assert "warning: infergate.yaml:1:36: lists nobody" in check(folder, config)[1]


def test_a_folder_is_told_from_a_file(folder: Path) -> None:
    code, said = check(folder, "backends: { a: http://127.0.0.1:1 }\n", name=".")
    assert code == 2
    assert "is a folder" in said
    assert "infergate.yaml" in said
