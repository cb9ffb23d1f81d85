"""When certificates are renewed, and how often it is tried."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infergate.certificates import local_ca
from infergate.certificates.account import stranger
from infergate.certificates.facts import Facts, facts_of, read_facts
from infergate.certificates.issue import suggestion
from infergate.certificates.record import Record
from infergate.certificates.renewal import next_try, renew_at, why_due
from infergate.certificates.sites import Site
from infergate.config.tls import Acme
from infergate.paths import Home
from tests.backends.private_ca import PrivateCa

DAY = 86400.0
ACME = Acme(email="ops@example.org")
SITE = Site("api", None, ("api.test",), "acme")
FACTS = Facts(("api.test",), "CA", 0.0, 90 * DAY, "1f", "", None, True)
GOOD = Record(directory=ACME.asked)


def test_a_certificate_is_renewed_after_two_thirds_of_its_life_but_not_all_at_once() -> None:
    moments = {renew_at(replace(FACTS, serial=f"{n:x}"), GOOD) for n in range(50)}
    assert len(moments) == 50
    assert all(57 * DAY <= moment <= 60 * DAY for moment in moments)
    moment = renew_at(FACTS, GOOD)
    assert moment == renew_at(FACTS, GOOD)  # the same at each look
    assert why_due(SITE, ACME, FACTS, GOOD, moment - 1) is None
    assert why_due(SITE, ACME, FACTS, GOOD, moment) == "its time is nearly up"


def test_the_authoritys_own_wish_goes_first() -> None:
    # As when it has to revoke certificates: RFC 9773.
    early = replace(GOOD, renew_at=3 * DAY)
    assert why_due(SITE, ACME, FACTS, early, 4 * DAY) == "its time is nearly up"
    assert renew_at(FACTS, replace(GOOD, renew_at=900 * DAY)) == FACTS.not_after


def test_other_names_or_another_authority_need_another_certificate() -> None:
    more = replace(SITE, hosts=("api.test", "new.test"))
    assert why_due(more, ACME, FACTS, GOOD, DAY) == "it is not for new.test"
    staging = ACME.model_copy(update={"staging": True})
    assert why_due(SITE, staging, FACTS, GOOD, DAY) == "it is from another authority"
    assert why_due(SITE, ACME, None, Record(), DAY) == "there is none yet"


def test_failures_are_tried_again_seldom_enough_for_the_authoritys_limits() -> None:
    waits = [next_try(n, 0.0, not_before=None, asked=True) for n in range(1, 12)]
    # Let's Encrypt: at most five failed validations of a name in an hour.
    assert sum(sum(waits[:n]) < 3600 for n in range(1, len(waits))) < 4
    assert waits[-1] <= DAY * 1.1
    assert next_try(1, 0.0, not_before=5 * DAY, asked=True) == 5 * DAY
    assert next_try(1, 0.0, not_before=None, asked=False) <= 66


def test_our_own_ca_stays_and_its_certificates_are_made_anew_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.tls.mkdir()
    home.public.mkdir()
    path = local_ca.certificate_for(("a.test", "10.0.0.1"), home)
    first, ca = read_facts(path), home.ca.read_text()
    assert (first.names, first.chained) == (("a.test", "10.0.0.1"), True)
    assert read_facts(local_ca.certificate_for(("a.test", "10.0.0.1"), home)) == first
    other = read_facts(local_ca.certificate_for(("b.test",), home))
    assert other.names == ("b.test",)
    later = other.not_before + other.lifetime_s * 0.7
    monkeypatch.setattr(time, "time", lambda: later)
    assert read_facts(local_ca.certificate_for(("b.test",), home)).serial != other.serial
    assert home.ca.read_text() == ca
    assert home.ca_key.stat().st_mode & 0o077 == 0


@pytest.fixture
def directory() -> Iterator[tuple[Acme, dict[str, object]]]:
    """An authority that says no more than when it wants certificates renewed (pebble 2.4 does
    not)."""
    said: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = said["directory"] if self.path == "/dir" else said["window"]
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Retry-After", "7200")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    said["directory"] = {"renewalInfo": f"{url}/ari"}
    yield ACME.model_copy(update={"directory": f"{url}/dir"}), said
    server.shutdown()
    server.server_close()


def test_an_authority_that_says_when_to_renew_is_asked_and_heard(
    directory: tuple[Acme, dict[str, object]], tmp_path: Path
) -> None:
    acme, said = directory
    home = Home(tmp_path)
    home.tls.mkdir()
    home.public.mkdir()
    pem = local_ca.certificate_for(("a.test",), home).read_bytes()
    start = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
    end = start + datetime.timedelta(days=2)
    said["window"] = {"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}}
    now = time.time()
    moment, again = suggestion(acme, tmp_path, pem, now)
    assert start.timestamp() <= moment <= end.timestamp()
    assert 7000 < again - now < 7300
    assert stranger(acme, tmp_path).net.key is None


def test_a_chain_without_the_issuer_is_noticed(tmp_path: Path) -> None:
    pair = PrivateCa(tmp_path).issue("a.test")
    whole = pair.certificate.read_bytes()
    alone = whole[: whole.index(b"-----END CERTIFICATE-----")] + b"-----END CERTIFICATE-----\n"
    assert facts_of(whole, "").chained
    assert not facts_of(alone, "").chained
