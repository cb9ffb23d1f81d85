"""What an ACME authority refuses, told in words: with pebble, as real as it gets on one machine."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from acme import messages

from infergate.certificates.facts import facts_of
from infergate.certificates.issue import ask, issue
from infergate.certificates.record import read_record
from infergate.certificates.renewal import may_try
from infergate.certificates.sites import Site
from infergate.certificates.trouble import explained
from infergate.config.tls import Acme
from infergate.errors import NotIssued
from infergate.paths import Home
from tests.backends.authority import Authority, authority
from tests.backends.servers import free_port

pebble = pytest.mark.skipif(
    shutil.which("pebble") is None, reason="`python -m tests.tools` brings pebble"
)

HOOK = """#!{python}
import json, sys, urllib.request
what, name, value = sys.argv[1:]
if "broken" in name:
    sys.exit("the DNS provider says no")
path, body = {{
    "present": ("set-txt", {{"host": name, "value": value}}),
    "cleanup": ("clear-txt", {{"host": name}}),
}}[what]
with open("{folder}/calls", "a") as calls:
    calls.write(f"{{what}} {{name}}\\n")
urllib.request.urlopen("{dns}/" + path, json.dumps(body).encode())
"""


@pytest.fixture(scope="module")
def pebbles() -> Iterator[Authority]:
    """An authority whose http-01 finds nobody at all."""
    with authority(free_port()) as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for folder in (home.acme, home.challenges):
        folder.mkdir(parents=True)
    return home


def settings(found: Authority, **more: object) -> Acme:
    values = {"email": "ops@example.org", "directory": found.directory, "ca": str(found.ca)}
    return Acme.model_validate({**values, **more})


def site(*names: str) -> Site:
    return Site("api", None, names, "acme")


def refused(names: Site, acme: Acme, home: Home) -> NotIssued:
    with pytest.raises(NotIssued) as caught:
        issue(names, acme, home.root.parent, home)
    return caught.value


@pebble
def test_a_closed_port_is_told_as_such_and_tried_again_later(
    pebbles: Authority, home: Home
) -> None:
    acme, api = settings(pebbles), site("closed.test")
    left = home.challenges / "left-by-a-killed-process"
    left.touch()
    os.utime(left, (0, 0))
    problem = refused(api, acme, home)
    assert list(home.challenges.iterdir()) == []
    assert problem.where == "closed.test"
    assert "cannot reach" in problem.what
    assert "Port 80 of closed.test" in str(problem.hint)
    record, now = read_record(api, home), time.time()
    assert record.failures == 1
    assert not may_try(api, acme, record, now)
    assert may_try(api, acme, record, now + 20 * 60)
    # Another request is not held up by the failure of this one.
    assert may_try(site("other.test"), acme, record, now)
    refused(api, acme, home)
    assert read_record(api, home).failures == 2


@pebble
def test_a_name_without_an_address_is_told_as_such(pebbles: Authority, home: Home) -> None:
    pebbles.tell_dns("set-servfail", host="nowhere.test")
    problem = refused(site("nowhere.test"), settings(pebbles), home)
    assert "no address" in problem.what
    assert "A or AAAA record" in str(problem.hint)


@pebble
def test_dns_01_goes_through_the_hook_and_certifies_wildcards(
    pebbles: Authority, home: Home, tmp_path: Path
) -> None:
    hook = tmp_path / "hook"
    hook.write_text(HOOK.format(python=sys.executable, dns=pebbles.dns, folder=tmp_path))
    hook.chmod(0o755)
    acme = settings(pebbles, challenge="dns-01", dns_hook="hook", dns_wait=0, key_type="rsa")
    facts = facts_of(ask(site("*.wild.test"), acme, tmp_path, home).encode(), "")
    assert facts.names == ("*.wild.test",)
    assert facts.covers("a.wild.test")
    assert not facts.covers("a.b.wild.test")
    assert (tmp_path / "calls").read_text().splitlines() == [
        "present _acme-challenge.wild.test.",
        "cleanup _acme-challenge.wild.test.",
    ]
    problem = refused(site("broken.test"), acme, home)
    assert "the DNS provider says no" in problem.what


@pebble
def test_an_account_that_the_authority_has_forgotten_is_made_again(
    pebbles: Authority, home: Home
) -> None:
    acme = settings(pebbles)
    refused(site("closed.test"), acme, home)
    (file,) = (home.acme / "accounts").iterdir()
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "uri": known["uri"] + "0000"}))
    assert "cannot reach" in refused(site("closed.test"), acme, home).what
    assert file.stat().st_mode & 0o077 == 0


@pebble
def test_another_email_goes_to_the_same_account(pebbles: Authority, home: Home) -> None:
    refused(site("closed.test"), settings(pebbles), home)
    (file,) = (home.acme / "accounts").iterdir()
    before = json.loads(file.read_text())
    refused(site("closed.test"), settings(pebbles, email="new@example.org"), home)
    after = json.loads(file.read_text())
    assert (before["email"], after["email"]) == ("ops@example.org", "new@example.org")
    assert (before["uri"], before["key"]) == (after["uri"], after["key"])


def test_an_authority_that_is_not_there_is_tried_again_soon(home: Home) -> None:
    acme = Acme(email="ops@example.org", directory=f"https://127.0.0.1:{free_port()}/dir")
    problem = refused(site("a.test"), acme, home)
    assert "cannot be asked" in problem.what
    assert not problem.asked
    assert read_record(site("a.test"), home).next_try < time.time() + 120


@pebble
def test_an_authority_of_an_unknown_ca_is_not_trusted(pebbles: Authority, home: Home) -> None:
    problem = refused(site("a.test"), settings(pebbles, ca=None), home)
    assert "not trusted" in problem.what
    assert "tls.acme.ca" in str(problem.hint)


def test_a_rate_limit_is_waited_for_as_long_as_the_authority_says() -> None:
    # As Let's Encrypt writes it: letsencrypt.org/docs/rate-limits.
    error = messages.Error(
        typ="urn:ietf:params:acme:error:rateLimited",
        detail="too many certificates (5) already issued for this exact set of identifiers in the "
        "last 168h0m0s, retry after 2026-12-01 18:33:02 UTC: see https://letsencrypt.org/docs/",
    )
    problem = explained(error, "api.example.org", Acme(email="ops@example.org"))
    assert "issues no more for now" in problem.what
    end = datetime.datetime(2026, 12, 1, 18, 33, 2, tzinfo=datetime.UTC)
    assert problem.not_before == end.timestamp()
    assert "after 2026-12-01 18:33 UTC" in str(problem.hint)
    assert "staging: true" in str(problem.hint)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("caa", "dig CAA api.example.org"),
        ("rejectedIdentifier", "self_signed: true"),
        ("externalAccountRequired", "tls.acme.eab"),
        ("unauthorized", "AAAA"),
        ("incorrectResponse", "AAAA"),
        ("unknownHost", "dig +short api.example.org"),
    ],
)
def test_each_refusal_comes_with_what_to_do(code: str, hint: str) -> None:
    error = messages.Error(typ=f"urn:ietf:params:acme:error:{code}", detail="no")
    problem = explained(error, "api.example.org", Acme(email="ops@example.org"))
    assert hint in str(problem.hint)
    assert problem.not_before is None
