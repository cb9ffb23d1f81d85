"""Certificates from an ACME authority: issued, served and renewed while streams run."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography import x509

from tests.backends.authority import authority
from tests.backends.servers import free_port, scripted
from tests.gateway import gateway, until

pytestmark = pytest.mark.skipif(
    shutil.which("pebble") is None, reason="`python -m tests.tools` brings pebble"
)

VALID_S = 9
"""Of each certificate: renewed after six, again and again."""


def shown(port: int, name: str) -> x509.Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=name) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_certificate_is_issued_and_renewed_and_no_stream_is_cut(
    engine: str, start: Callable[..., Any]
) -> None:
    a, http, https = start(scripted), free_port(), free_port()
    it_is = start(authority, http, valid_s=VALID_S)
    it = start(
        gateway,
        engine,
        f"""
listen: {{ http: 127.0.0.1:{http}, https: 127.0.0.1:{https}, hosts: [api.test, www.test] }}
tls: {{ acme: {{ email: ops@example.org, directory: "{it_is.directory}", ca: {it_is.ca} }} }}
backends: {{ a: {a.url} }}
services: {{ chat: {{ url: {a.url}, host: chat.test, auth: none }} }}
""",
        start=False,
    )
    it.up()  # before there is a certificate: it starts with one made here
    a.behave(path_prefix="/v1/chat", chunk_delay_s=0.1, chunks=10_000)
    until(lambda: it.backend("a")["models"])
    lines: list[str] = []
    enough = threading.Event()

    def stream() -> None:
        with (
            httpx.Client(verify=False, timeout=60) as client,  # on a slow machine it has expired
            client.stream(
                "POST",
                f"https://127.0.0.1:{https}/v1/chat/completions",
                headers={**it.headers(), "Host": "api.test"},
                json={"model": "m", "stream": True},
                extensions={"sni_hostname": "api.test"},
            ) as answer,
        ):
            for line in answer.iter_lines():
                lines.append(line)
                if enough.is_set():
                    return

    reader = threading.Thread(target=stream)
    reader.start()
    until(lambda: a.stats()["open"])
    until(lambda: "Pebble" in shown(https, "api.test").issuer.rfc4514_string())
    first = shown(https, "api.test")
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"api.test", "www.test"}
    until(lambda: shown(https, "api.test").serial_number != first.serial_number)
    seen = len(lines)
    assert seen > 0
    until(lambda: len(lines) > seen + 10)  # it goes on after the renewal as before
    enough.set()
    reader.join()

    # The service's host has a certificate of its own.
    until(lambda: "Pebble" in shown(https, "chat.test").issuer.rfc4514_string())
    kept = [path for path in it.home.glob("tls/acme/**/*") if path.is_file()]
    assert {path.suffix for path in kept} >= {".pem", ".json"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept if path.name != "lock")
    # Nothing is left of the challenges, and there is nothing else to fetch.
    challenges = it.home / "public" / "acme-challenge"
    until(lambda: not list(challenges.iterdir()))
    said = it.run("cert", "renew", "chat.test", "--dry-run").stdout
    assert "would be issued; nothing was kept" in said
    rows = it.status()["certificates"]
    assert [(row["source"], row["stands_in"]) for row in rows] == [("acme", False)] * 2
