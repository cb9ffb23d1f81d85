"""TLS and headers: which host shows which certificate, who needs one, how strong it all is; what is
said to browsers and to the next hop."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from tests.backends.private_ca import PrivateCa, ocsp_responder
from tests.backends.servers import Scripted, free_port, scripted
from tests.gateway import Gateway, gateway, until
from tests.scanners import SSLYZE
from tests.tools import missing

CONFIG = """
listen: {{ http: 127.0.0.1:{http}, https: 127.0.0.1:{https}, hosts: [api.test, vip.test] }}
tls:
  self_signed: true
  profile: {profile}
  hsts: {{ include_subdomains: true }}
  hosts:
    vip.test: {{ client_ca: {ca} }}
    chat.test: {{ files: {{ certificate: {crt}, key: {key} }} }}
backends: {{ a: {url} }}
services:
  chat: {{ url: {url}, host: chat.test, auth: none }}
"""


@dataclass
class Site:
    """A gateway with three hosts: api (self-signed), vip (clients need a certificate), chat."""

    it: Gateway
    http: int
    https: int
    ca: PrivateCa
    backend: Scripted
    values: dict[str, object]

    def trust(self, *, ours: bool = True) -> ssl.SSLContext:
        file = self.it.home / "public" / "ca.crt" if ours else self.ca.certificate
        return ssl.create_default_context(cafile=str(file))

    def connect(self, name: str | None, context: ssl.SSLContext) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.https), timeout=10)
        context.check_hostname = name is not None
        return context.wrap_socket(raw, server_hostname=name)

    def ask(
        self, name: str | None, context: ssl.SSLContext, path: str = "/", host: str | None = None
    ) -> bytes:
        """The head and start of an answer, by a client that says name in the handshake."""
        with self.connect(name, context) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: {host or name}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            return connection.makefile("rb").read()


@pytest.fixture(scope="module")
def site(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("ca")
    ca = PrivateCa(folder)
    http, https = free_port(), free_port()
    with ocsp_responder([ca]) as responder, scripted() as backend:
        chat = ca.issue("chat.test", responder=responder)
        values = {"http": http, "https": https, "ca": ca.certificate, "url": backend.url}
        values |= {"crt": chat.certificate, "key": chat.key}
        config = CONFIG.format(**values, profile="intermediate")
        with gateway(engine, config) as it:
            until(lambda: it.backend("a")["models"])
            yield Site(it, http, https, ca, backend, values)


def issuer(der: bytes | None) -> str:
    assert der is not None
    return x509.load_der_x509_certificate(der).issuer.rfc4514_string()


def test_each_host_shows_its_own_certificate(site: Site) -> None:
    with site.connect("api.test", site.trust()) as api:
        assert "Infergate CA" in issuer(api.getpeercert(binary_form=True))
    with site.connect("chat.test", site.trust(ours=False)) as chat:
        assert "Test CA" in issuer(chat.getpeercert(binary_form=True))
    assert b" 200 " in site.ask("chat.test", site.trust(ours=False), "/version")


def test_a_host_with_a_client_ca_lets_in_only_who_has_a_certificate_of_it(site: Site) -> None:
    stranger = PrivateCa(site.ca.folder, "Other CA").issue("mallory", client=True)
    friend = site.ca.issue("alice", client=True)
    assert b"400" in site.ask("vip.test", site.trust()).split(b"\r\n")[0]
    context = site.trust()
    context.load_cert_chain(stranger.certificate, stranger.key)
    assert b"400" in site.ask("vip.test", context).split(b"\r\n")[0]
    context = site.trust()
    context.load_cert_chain(friend.certificate, friend.key)
    assert b" 200 " in site.ask("vip.test", context).split(b"\r\n")[0]
    # The other hosts ask for none.
    assert b" 200 " in site.ask("api.test", site.trust()).split(b"\r\n")[0]


def test_the_ca_can_be_fetched_over_plain_http_and_all_else_is_redirected(site: Site) -> None:
    url = f"http://127.0.0.1:{site.http}"
    fetched = httpx.get(f"{url}/ca.crt", headers={"Host": "api.test"})
    assert fetched.headers["content-type"] == "application/x-x509-ca-cert"
    assert fetched.text == site.it.run("cert", "ca").stdout
    assert "PRIVATE" not in fetched.text
    for path in ("/v1/models?a=b", "/.well-known/acme-challenge/x", "/ca.key", "/public/ca.crt"):
        moved = httpx.get(url + path, headers={"Host": "api.test"})
        assert moved.status_code == 308
        assert moved.headers["location"] == f"https://api.test:{site.https}{path}"
        # RFC 6797, 7.2: not over plain http.
        assert "strict-transport-security" not in moved.headers


def test_our_pages_say_what_a_browser_must_not_do_with_them(site: Site) -> None:
    with httpx.Client(verify=site.trust(), headers={"Host": "api.test"}) as client:
        extensions = {"sni_hostname": "api.test"}
        base = f"https://127.0.0.1:{site.https}"
        for path, status in (("/", 200), ("/v1/models", 401), ("/no", 404)):
            answer = client.get(base + path, extensions=extensions)
            assert answer.status_code == status
            hsts = "max-age=63072000; includeSubDomains"
            assert answer.headers["strict-transport-security"] == hsts
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["server"] == "nginx"


def test_a_service_keeps_its_own_headers_and_gets_those_that_it_lacks(site: Site) -> None:
    head = site.ask("chat.test", site.trust(ours=False), "/version").partition(b"\r\n\r\n")[0]
    lines = head.decode().lower().split("\r\n")
    assert "x-frame-options: sameorigin" in lines
    assert "x-content-type-options: nosniff" in lines
    assert "referrer-policy: strict-origin-when-cross-origin" in lines
    assert "strict-transport-security: max-age=63072000; includesubdomains" in lines
    assert not [line for line in lines if line.startswith("content-security-policy")]


def test_what_is_for_one_hop_or_for_us_alone_goes_no_further(site: Site) -> None:
    internal = ("x-infergate-backend", "x-infergate-ticket", "x-infergate-patience")
    to_us = {
        **dict.fromkeys(("proxy-authorization", "proxy", "x-original-url", "x-rewrite-url"), "x"),
        **dict.fromkeys(("te", "trailer", "keep-alive", "proxy-connection", *internal), "x"),
    }
    to_client = {
        "Proxy-Authenticate": "Basic",
        "X-Powered-By": "Express",
        "Via": "1.1 inside",
        "Trailer": "x",
        "X-Accel-Redirect": "/healthz",
        "x-infergate-request-id": "forged",
    }
    site.backend.behave(headers=to_client)
    calls = (
        ("api.test", True, "POST", "/v1/chat/completions"),
        ("chat.test", False, "GET", "/version"),
    )
    try:
        for host, ours, method, path in calls:
            with httpx.Client(verify=site.trust(ours=ours)) as client:
                answer = client.request(
                    method,
                    f"https://127.0.0.1:{site.https}{path}",
                    headers={**to_us, **site.it.headers(), "Host": host},
                    json={"model": "m", "messages": []} if method == "POST" else None,
                    extensions={"sni_hostname": host},
                )
            assert answer.status_code == 200
            seen = site.backend.requests(path)[-1]["headers"]
            assert sorted(set(to_us) & set(seen)) == [], host
            kept = {name for name in to_client if name.lower() in answer.headers}
            assert kept == {"x-infergate-request-id"}
            assert "forged" not in answer.headers["x-infergate-request-id"]
    finally:
        site.backend.behave()


def test_the_authoritys_word_that_it_was_not_revoked_goes_along(site: Site) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{site.https}", "-status"]
    command += ["-servername", "chat.test", "-CAfile", str(site.ca.certificate)]

    def status() -> str:
        ran = subprocess.run(command, input=b"", capture_output=True, timeout=10, check=False)
        return ran.stdout.decode(errors="replace")

    # nginx asks when the first client comes, and that one does not wait for the answer.
    assert "OCSP Response Status: successful" in until(
        lambda: "OCSP Response Status" in (said := status()) and said
    )


@pytest.mark.long
def test_files_that_somebody_else_renews_are_taken_over(site: Site) -> None:
    def serial() -> int:
        with site.connect("chat.test", site.trust(ours=False)) as chat:
            der = chat.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number

    before = serial()
    site.ca.issue("chat.test")  # to the same files, one after the other
    until(lambda: serial() != before)
    # As a revision of its own, so that a plan finds nothing to do.
    until(lambda: "certificates changed" in site.it.run("audit", "log").stdout)
    until(lambda: json.loads(site.it.run("plan", "--format", "json").stdout)["kind"] == "nothing")


def test_a_plan_for_other_hosts_leaves_what_is_served_as_it_is(site: Site) -> None:
    before = site.it.file.read_text()
    served = {path: path.read_bytes() for path in (site.it.home / "tls").glob("*.pem")}
    try:
        site.it.file.write_text(before.replace("api.test,", "api.test, new.test,"))
        assert json.loads(site.it.run("plan", "--format", "json").stdout)["kind"] == "reload"
        assert {path: path.read_bytes() for path in served} == served
    finally:
        site.it.file.write_text(before)


@pytest.mark.long
def test_a_change_is_tried_beside_though_clients_need_certificates(site: Site) -> None:
    before = site.it.file.read_text()
    try:
        site.it.file.write_text(before.replace("hosts: [api.test, vip.test]", "hosts: [vip.test]"))
        site.it.run("apply", "--window", "0s")
        assert b"400" in site.ask("vip.test", site.trust()).split(b"\r\n")[0]
        sources = {
            row["site"]: row["source"]
            for row in json.loads(site.it.run("status", "--json").stdout)["certificates"]
        }
        assert sources["api"] == "self-signed"
        assert sources["service-chat"] == "files"
    finally:
        site.it.file.write_text(before)
        site.it.run("apply", "--window", "0s")
    assert not list((site.it.home / "tls" / "acme").glob("accounts/*"))


@pytest.mark.long
@pytest.mark.skipif("sslyze" in missing(), reason="`python -m tests.tools` brings sslyze")
def test_mozillas_profiles_are_kept_by_sslyzes_judgement(site: Site, tmp_path: Path) -> None:
    before = site.it.file.read_text()
    try:
        for profile in ("intermediate", "modern"):
            site.it.write(CONFIG.format(**site.values, profile=profile))
            site.it.run("reload")
            target = f"api.test:{site.https}{{127.0.0.1}}"
            report = tmp_path / f"{profile}.json"
            command = [str(SSLYZE), "--mozilla_config", profile, "--json_out", str(report)]
            command += ["--certinfo_ca_file", str(site.it.home / "public" / "ca.crt"), target]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert "OK - Compliant" in ran.stdout, ran.stdout
            assert ran.returncode == 0
            scan = json.loads(report.read_text())["server_scan_results"][0]["scan_result"]
            assert scan["tls_1_1_cipher_suites"]["result"]["is_tls_version_supported"] is False
            assert scan["tls_1_2_cipher_suites"]["result"]["is_tls_version_supported"] is (
                profile == "intermediate"
            )
    finally:
        site.it.file.write_text(before)
        site.it.run("reload")
