"""Client certificates: nothing but a handshake with the host itself, by a certificate of the host's
own authority, leads to what is behind it."""

from __future__ import annotations

import itertools
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import pytest

from tests.backends.private_ca import PrivateCa
from tests.backends.servers import free_port
from tests.backends.web_service import WebService, web_service
from tests.gateway import Gateway, gateway

CONFIG = """
listen: {{ https: 127.0.0.1:{https}, hosts: [vip.test, pub.test] }}
tls:
  self_signed: true
  http2: true
  hosts:
    vip.test: {{ client_ca: {vip} }}
    pub.test: {{ self_signed: true }}
    boss.test: {{ client_ca: {boss} }}
    "*.staff.test": {{ client_ca: {boss} }}
backends: {{ a: "{url}" }}
services:
  boss: {{ url: "{url}", host: boss.test, auth: none }}
  staff: {{ url: "{url}", host: "*.staff.test", auth: none }}
  open: {{ url: "{url}", host: open.test, auth: none }}
"""

OWN = {"vip.test": "vip", "boss.test": "boss", "a.staff.test": "boss"}
"""Hosts that want a certificate, and whose."""

NAMES = ("pub.test", "open.test", "unknown.test", None, *OWN)
TLS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
REFUSED = {400, 421}


@dataclass
class Door:
    it: Gateway
    port: int
    web: WebService
    pairs: dict[str, tuple[str, str]]

    def context(self, version: ssl.TLSVersion, cert: str | None, alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.it.home / "public" / "ca.crt"))
        context.check_hostname = False
        context.maximum_version = version
        context.set_alpn_protocols([alpn])
        if cert is not None:
            context.load_cert_chain(*self.pairs[cert])
        return context

    def ask(
        self,
        context: ssl.SSLContext,
        name: str | None,
        host: str,
        session: ssl.SSLSession | None = None,
    ) -> tuple[int, ssl.SSLSession | None, bool]:
        """The status of GET /x, the session for later, and whether this one was taken up. A
        handshake that is refused counts as 400."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        try:
            with context.wrap_socket(raw, server_hostname=name, session=session) as connection:
                ask = _by_h2 if connection.selected_alpn_protocol() == "h2" else _by_http1
                status = ask(connection, host)
                return status, connection.session, bool(connection.session_reused)
        except ssl.SSLError:
            return 400, None, False


def _by_http1(connection: ssl.SSLSocket, host: str) -> int:
    connection.sendall(f"GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    line = connection.makefile("rb").readline().split()
    return int(line[1]) if line else 400


def _by_h2(connection: ssl.SSLSocket, *hosts: str) -> int:
    """The status of the last host's answer; all are asked one after the other, as a browser does
    whose certificates are good for several."""
    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.initiate_connection()
    status = 0
    for number, host in enumerate(hosts):
        stream = 2 * number + 1
        head = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/x")]
        client.send_headers(stream, head, end_stream=True)
        connection.sendall(client.data_to_send())
        done = False
        while not done:
            data = connection.recv(65536)
            if not data:
                return 400
            for event in client.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                done = done or isinstance(event, h2.events.StreamEnded | h2.events.StreamReset)
            connection.sendall(client.data_to_send())
    return status


@pytest.fixture(scope="module")
def door(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("ca")
    authorities = {name: PrivateCa(folder, f"{name} CA") for name in ("vip", "boss", "nobody")}
    pairs = {}
    for name, ca in authorities.items():
        pair = ca.issue(f"{name}-client", client=True)
        pairs[name] = (str(pair.certificate), str(pair.key))
    port = free_port()
    with web_service() as web:
        config = CONFIG.format(
            https=port,
            url=web.url,
            vip=authorities["vip"].certificate,
            boss=authorities["boss"].certificate,
        )
        with gateway(engine, config) as it:
            yield Door(it, port, web, pairs)


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("version", TLS)
def test_only_a_handshake_with_the_host_and_its_own_authority_s_certificate_gets_in(
    door: Door, version: ssl.TLSVersion, alpn: str
) -> None:
    wrong = []
    for cert, name, host in itertools.product((None, "vip", "boss", "nobody"), NAMES, OWN):
        status, _, _ = door.ask(door.context(version, cert, alpn), name, host)
        # 404: the API has nothing at /x.
        right = {200, 404} if name == host and cert == OWN[host] else REFUSED
        if status not in right:
            wrong.append((cert, name, host, status))
    assert wrong == []


@pytest.mark.parametrize("version", TLS)
def test_a_session_of_one_host_opens_no_other(door: Door, version: ssl.TLSVersion) -> None:
    wrong = []
    for cert, name, target in itertools.product((None, "vip", "boss"), NAMES, OWN):
        if name == target:
            continue
        context = door.context(version, cert, "http/1.1")
        _, session, _ = door.ask(context, name, name or "vip.test")
        for again in (target, name, None):
            status, _, reused = door.ask(context, again, target, session)
            # A session that was not taken up leaves a handshake like any other.
            may = again == target and cert == OWN[target]
            if reused or (status not in REFUSED and not may):
                wrong.append((cert, name, again, target, status, reused))
    assert wrong == []


def test_a_browser_that_shares_a_connection_is_told_to_open_another_one(door: Door) -> None:
    for cert, name, *others in (
        ("vip", "vip.test", "boss.test", "vip.test", "a.staff.test"),
        ("boss", "open.test", "boss.test", "open.test", "vip.test"),
    ):
        context = door.context(TLS[1], cert, "h2")
        raw = socket.create_connection(("127.0.0.1", door.port), timeout=20)
        with context.wrap_socket(raw, server_hostname=name) as connection:
            assert connection.selected_alpn_protocol() == "h2"
            assert _by_h2(connection, *others) == 421


def test_a_host_without_a_client_ca_asks_for_no_certificate(door: Door) -> None:
    for host in ("pub.test", "open.test"):
        assert door.ask(door.context(TLS[1], None, "h2"), host, host)[0] in (200, 404)
