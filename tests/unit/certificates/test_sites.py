"""Which host shows which certificate: a function of the configuration."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infergate.certificates.facts import read_facts
from infergate.certificates.overview import overview
from infergate.certificates.served import served_certificates
from infergate.certificates.sites import sites
from infergate.certificates.watch import ask_when_to_renew, next_look
from infergate.config.load import LoadedConfig, parse_config
from infergate.config.problems import ConfigError
from infergate.paths import Home
from tests.backends.private_ca import PrivateCa

ACME = """
listen: { http: 80, https: 443, hosts: [api.example.org, 10.0.0.153, www.example.org] }
tls:
  acme: { email: ops@example.org }
  hosts:
    www.example.org: { files: { certificate: www.crt, key: www.key } }
backends: { a: http://127.0.0.1:1 }
services:
  n8n: { url: http://127.0.0.1:2, host: n8n.example.org, auth: none }
  qdrant: { url: http://127.0.0.1:3, path: /qdrant/ }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pair = PrivateCa(tmp_path).issue("www.example.org")
    pair.certificate.rename(tmp_path / "www.crt")
    pair.key.rename(tmp_path / "www.key")
    return tmp_path


def loaded(text: str, folder: Path) -> LoadedConfig:
    return parse_config(text, folder / "infergate.yaml", {})


def home_in(folder: Path) -> Home:
    home = Home(folder / "home")
    for each in (home.acme, home.public):
        each.mkdir(parents=True)
    return home


def mistakes(text: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(text, folder)
    return str(caught.value)


def test_hosts_share_a_certificate_unless_they_have_their_own(folder: Path) -> None:
    found = sites(loaded(ACME, folder).config)
    assert [(each.name, each.source, each.names) for each in found] == [
        ("api", "acme", ("api.example.org",)),
        ("host-www.example.org", "files", ("www.example.org",)),
        ("service-n8n", "acme", ("n8n.example.org",)),
    ]


def test_the_api_is_the_default_server_also_if_each_of_its_hosts_has_its_own(folder: Path) -> None:
    text = """
listen: { https: 443, hosts: [b.example.org, a.example.org] }
tls:
  self_signed: true
  hosts: { a.example.org: { self_signed: true }, b.example.org: { self_signed: true } }
backends: { a: http://127.0.0.1:1 }
"""
    found = sites(loaded(text, folder).config)
    assert [(each.name, each.hosts) for each in found] == [
        ("api", ("b.example.org",)),
        ("host-a.example.org", ("a.example.org",)),
    ]


def test_until_the_authority_has_issued_one_a_certificate_made_here_stands_in(
    folder: Path,
) -> None:
    home = home_in(folder)
    found = served_certificates(loaded(ACME, folder), home)
    assert found["api"].certificate == found["service-n8n"].certificate
    assert found["host-www.example.org"].certificate == folder / "www.crt"
    made = found["api"].certificate.read_bytes()
    served_certificates(loaded(ACME, folder), home)
    assert found["api"].certificate.read_bytes() == made  # and it is not made twice


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        (("listen: { http: 80, ", "listen: { "), "http-01 is answered over plain http"),
        (("n8n.example.org", "'*.example.org'"), "only certified by challenge: dns-01"),
        (("    www.example.org:", "    wwww.example.org:"), "did you mean 'www.example.org'"),
        (("www.crt", "none.crt"), "there is no file none.crt"),
        (("email: ops@example.org", "email: o@e.org, challenge: dns-01"), "need each other"),
        (
            ("email: ops@example.org", "email: o@e.org, challenge: dns-01, dns_hook: www.crt"),
            "www.crt is not executable",
        ),
        (
            ("email: ops@example.org", "email: o@e.org, staging: true, directory: https://x/d"),
            "staging is Let's Encrypt's",
        ),
        (("email: ops@example.org", "email: o@e.org, directory: http://x/d"), "https://"),
        (("tls:\n", "tls:\n  hsts: { preload: true }\n"), "preload needs include_subdomains"),
        (("tls:\n", "tls:\n  client_ca: no.pem\n"), "there is no file no.pem"),
    ],
)
def test_what_cannot_be_certified_is_told_before_anything_starts(
    instead: tuple[str, str], said: str, folder: Path
) -> None:
    text = ACME.replace(*instead, 1)
    assert text != ACME
    assert said in mistakes(text, folder)


def test_an_address_among_the_hosts_draws_a_warning(folder: Path) -> None:
    warnings = [str(each) for each in loaded(ACME, folder).warnings]
    assert len(warnings) == 1
    assert "https://10.0.0.153" in warnings[0]


def test_an_api_without_a_name_is_looked_after_beside_services_that_have_one(
    folder: Path,
) -> None:
    text = """
listen: { http: 80, https: 443 }
tls: { acme: { email: ops@example.org } }
backends: { a: http://127.0.0.1:1 }
services: { n8n: { url: http://127.0.0.1:2, host: n8n.example.org, auth: none } }
"""
    one, home = loaded(text, folder), home_in(folder)
    served = served_certificates(one, home)
    ask_when_to_renew(one, home)
    assert next_look(one, home, time.time()) <= time.time()
    rows = overview(one, home, served, time.time())
    assert [(row.hosts, row.source, row.stands_in) for row in rows] == [
        ((), "self-signed", False),
        (("n8n.example.org",), "acme", True),
    ]


def test_the_admin_api_s_names_are_in_the_certificate_that_it_shows(tmp_path: Path) -> None:
    text = (
        "listen: { http: 8080, https: 8443, hosts: [api.test] }\ntls: { self_signed: true }\n"
        "backends: { a: http://127.0.0.1:1 }\n"
        "admin: { listen: '10.9.8.7:9000', hosts: [admin.test] }\n"
    )
    home = home_in(tmp_path)

    def names(text: str) -> set[str]:
        return set(
            read_facts(served_certificates(loaded(text, tmp_path), home)["api"].certificate).names
        )

    assert names(text) == {"api.test", "admin.test", "10.9.8.7"}
    # On loopback it speaks plain HTTP.
    assert names(text.replace("10.9.8.7:9000", "127.0.0.1:9000")) == {"api.test"}
    assert {"api.test", "admin.test", "localhost"} <= names(text.replace("10.9.8.7:", "*:"))


DAY_S = 86400.0


@pytest.mark.parametrize(
    ("name", "days", "said"),
    [
        ("www.example.org", 0, ""),
        ("www.example.org", 80, "it expires soon"),
        ("www.example.org", 91, "it has expired"),
        ("www.example.org", -3, "it is not valid before"),
        ("other.example.org", 0, "it is not for www.example.org"),
        ("other.example.org", 80, "it is not for www.example.org"),  # worse than what it will be
    ],
)
def test_what_clients_refuse_is_told_of_a_certificate(
    folder: Path, name: str, days: float, said: str
) -> None:
    PrivateCa(folder, "another").issue(name).certificate.rename(folder / "www.crt")
    it, home, now = loaded(ACME, folder), home_in(folder), time.time()
    rows = overview(it, home, served_certificates(it, home), now + days * DAY_S)
    row = next(each for each in rows if each.site == "host-www.example.org")
    assert row.problem.startswith(said) if said else row.problem == ""
    assert bool(row.hint) == bool(said)
