"""Backends that cannot be reached: the reason is one a person can act on."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from infergate.health import resolve
from infergate.health.ask import OurFault, Target, explain, make_client
from infergate.health.probe import probe

pytestmark = pytest.mark.anyio


async def test_nobody_listens(probed) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = await probed(f"http://127.0.0.1:{taken.getsockname()[1]}", "vllm")
        by_name = await probed(f"http://localhost:{taken.getsockname()[1]}", "vllm")
    assert (result.ok, result.reason) == (False, "connection refused")
    assert by_name.reason == "connection refused"


async def test_https_to_a_plain_port(probed) -> None:
    async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(complain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        result = await probed(f"https://127.0.0.1:{port}", "vllm")
    assert result.reason == "it does not speak TLS as expected; is the URL's https right?"


@pytest.mark.parametrize("verify_tls", [True, False])
async def test_a_self_signed_certificate_needs_verify_tls_false(tmp_path, verify_tls) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    client = make_client(verify_tls=verify_tls)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        result = await probe(client, Target(f"https://127.0.0.1:{port}", "vllm", 5.0))
    assert result.ok is not verify_tls
    assert result.ok or result.reason.startswith("its certificate is not trusted: self")


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "both.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return pem


async def test_a_name_that_does_not_resolve(probed) -> None:
    result = await probed("http://no-such-host.invalid:8000", "vllm", timeout_s=5)
    assert not result.ok
    assert result.reason == "the name no-such-host.invalid does not resolve"


async def test_a_name_server_that_hangs_delays_no_other_backend(box, monkeypatch) -> None:
    real = socket.getaddrinfo

    def slow(host: Any, *rest: Any, **more: Any) -> Any:
        if str(host).endswith(".slow"):
            time.sleep(1.5)
            raise socket.gaierror
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    server = await box({"/health": (200, b"")})
    client = make_client()
    hanging = [
        asyncio.create_task(probe(client, Target(f"http://n{n}.slow:1", "vllm", 0.5)))
        for n in range(50)
    ]
    await asyncio.sleep(0.05)
    url = server.url.replace("127.0.0.1", "localhost")
    assert (await probe(client, Target(url, "vllm", 1.0))).ok
    results = await asyncio.gather(*hanging)
    again = await probe(client, Target("http://n0.slow:1", "vllm", 0.1))
    assert {each.reason for each in results} == {
        f"the name n{n}.slow does not resolve" for n in range(50)
    }
    assert not again.ok
    assert len(resolve._under_way) <= 50  # one lookup per name, however often it is asked


def test_running_out_of_descriptors_is_not_the_backends_fault() -> None:
    try:
        raise ValueError("failed") from OSError(errno.EMFILE, "Too many open files")
    except ValueError as problem:
        with pytest.raises(OurFault):
            explain(problem)
