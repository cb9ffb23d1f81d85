"""Each check finds what it is for, and is silent where there is nothing."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.hardening.backends import check_backends, listening_addresses
from infergate.hardening.check import bad, good, score, unknown, worst_first
from infergate.hardening.files import check_files
from infergate.hardening.gixy import check_with_gixy
from infergate.hardening.keys import check_keys
from infergate.hardening.live import check_live
from infergate.hardening.settings import check_settings
from infergate.paths import Home
from infergate.store.keys import StoredKey
from infergate.store.secrets import StoredSecret
from tests.backends.private_ca import PrivateCa
from tests.scanners import GIXY
from tests.unit.hardening.found import DAY, named, outcome


def config(text: str) -> Config:
    backends = "" if "backends:" in text else "backends: { a: http://127.0.0.1:9 }\n"
    return parse_config(backends + text, Path("infergate.yaml"), {}).config


def test_the_score_is_the_share_of_points_and_the_unknown_has_no_part() -> None:
    checks = [good("a", "high", ""), bad("b", "medium", "", ""), unknown("c", "")]
    assert score(checks) == 71
    assert score([]) == 100
    assert score([bad("b", "low", "", "")]) == 0
    assert [each.name for each in worst_first([*checks, bad("d", "high", "", "")])] == list("dbca")


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("", "tls.listener", ("bad", "high")),
        ("listen: 127.0.0.1:8080", "tls.listener", ("good", "high")),
        ("listen: { https: 443 }\ntls: { self_signed: true }", "tls.listener", ("good", "high")),
        ("listen: { https: 443 }\ntls: { self_signed: true }", "tls.hsts", ("bad", "low")),
        ("", "access.keys", ("good", "high")),
        (
            "listen: 127.0.0.1:8080\nauth: { required: false }",
            "access.keys",
            ("bad", "low"),
        ),
        ("", "access.rate", ("bad", "low")),
        ("limits: { per_ip: { rate: 10r/s } }", "access.rate", ("good", "low")),
        (
            "services: { s: { url: http://127.0.0.1:8, host: s.test, auth: none } }",
            "access.service.s",
            ("bad", "low"),
        ),
        (
            "services: { s: { url: http://127.0.0.1:8, host: s.test } }",
            "waf.services",
            ("bad", "medium"),
        ),
        (
            "services: { s: { url: http://127.0.0.1:8, host: s.test } }\nwaf: block",
            "waf.services",
            ("good", "medium"),
        ),
        ("waf: detect", "waf.api", ("bad", "low")),
        ("bans: block", "bans", ("good", "low")),
    ],
)
def test_settings(text: str, name: str, found: tuple[str, str]) -> None:
    assert outcome(check_settings(config(text)), name) == found


def test_every_finding_says_how_to_mend_it() -> None:
    text = "services: { s: { url: http://127.0.0.1:8, host: s.test, auth: none } }"
    found = [each for each in check_settings(config(text)) if each.outcome == "bad"]
    assert found
    assert all(each.mend for each in found)


def key(name: str, *, age_days: float, expires: bool = False, revoked: bool = False) -> StoredKey:
    then = int(time.time() - age_days * DAY)
    return StoredKey(
        id=name,
        name=name,
        created_at=then,
        secrets=(StoredSecret("0" * 64, "", then),),
        expires_at=int(time.time()) + DAY if expires else None,
        revoked_at=then if revoked else None,
    )


def test_keys_that_are_old_or_endless_are_named_and_revoked_ones_are_not() -> None:
    keys = [
        key("old", age_days=400, expires=True),
        key("endless", age_days=1),
        key("gone", age_days=900, revoked=True),
    ]
    found = named(check_keys(config(""), keys, time.time()))
    assert found["keys.age"].what == "older than a year: old"
    assert found["keys.expiry"].what == "valid for ever: endless"
    fresh = named(check_keys(config(""), [key("k", age_days=1, expires=True)], time.time()))
    assert {each.outcome for each in fresh.values()} == {"good"}


def test_a_secret_that_others_may_read_is_found(tmp_path: Path) -> None:
    loaded = parse_config(
        "backends: { a: { url: http://x:1, api_key: in-clear } }",
        tmp_path / "infergate.yaml",
        {},
    )
    loaded.path.write_text("…")
    home = Home(tmp_path / "home")
    home.state.mkdir(parents=True)
    home.store.touch(mode=0o600)
    for folder in (tmp_path, home.root, home.state, *tmp_path.parents[:-1]):
        if folder.stat().st_uid == os.getuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    loaded.path.chmod(0o644)
    assert outcome(check_files(loaded, home), "files.infergate.yaml") == ("bad", "high")
    loaded.path.chmod(0o600)
    assert outcome(check_files(loaded, home), "files.secrets") == ("good", "high")
    home.store.chmod(0o644)
    assert outcome(check_files(loaded, home), "files.store.db") == ("bad", "high")
    home.state.chmod(0o700)
    assert outcome(check_files(loaded, home), "files.secrets") == ("good", "high"), "shut in"


BACKENDS = """backends:
  local: http://127.0.0.1:8000
  wide: http://127.0.0.1:11434
  guarded: http://10.0.0.1:8000
  open: http://10.0.0.2:8000
  public: http://198.51.100.1:8000
  away: http://10.0.0.3:8000
"""


def test_backends_that_others_reach_are_found() -> None:
    statuses = {"10.0.0.1": 401, "10.0.0.2": 200, "10.0.0.3": None, "198.51.100.1": 200}

    def answers(url: str) -> int | None:
        return statuses[url.split("/")[2].split(":")[0]]

    listening = {8000: frozenset({"127.0.0.1", "::1"}), 11434: frozenset({"0.0.0.0"})}
    found = check_backends(config(BACKENDS), answers, listening)
    assert {name: each.outcome for name, each in named(found).items()} == {
        "exposed.local": "good",
        "exposed.wide": "bad",
        "exposed.guarded": "good",
        "exposed.open": "bad",
        "exposed.public": "bad",
        "exposed.away": "unknown",
    }


def test_listening_addresses_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st\n"
    (tmp_path / "tcp").write_text(
        head + "   0: 0100007F:1F90 00000000:0000 0A\n   1: 0100007F:1F91 00000000:0000 01\n"
    )
    (tmp_path / "tcp6").write_text(
        head + "   0: 00000000000000000000000000000000:1F90 0:0 0A\n"
        "   1: 00000000000000000000000001000000:2CAA 0:0 0A\n"
    )
    assert listening_addresses(tmp_path) == {
        8080: frozenset({"127.0.0.1", "::"}),
        11434: frozenset({"::1"}),
    }
    assert listening_addresses(tmp_path / "none") is None


@pytest.mark.skipif(not GIXY.exists(), reason="`python -m tests.tools` brings gixy")
def test_gixy_tells_of_files_by_hand_and_not_of_what_is_meant_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(GIXY.parent), prepend=os.pathsep)
    (tmp_path / "nginx.conf").write_text(
        "http {\n  server {\n    location / { proxy_pass http://$arg_host$uri; }\n  }\n}\n"
    )
    by_hand = list(check_with_gixy(tmp_path, frozenset()))
    assert ("gixy.ssrf", "high") in {(each.name, each.severity) for each in by_hand}
    assert any("nginx.conf:3" in each.what for each in by_hand)
    ours = check_with_gixy(tmp_path, frozenset({"nginx.conf"}))
    assert "gixy.ssrf" not in named(ours)


def test_without_gixy_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infergate.hardening.gixy.shutil.which", lambda *_, **__: None)
    assert [each.outcome for each in check_with_gixy(tmp_path, frozenset())] == ["unknown"]


@pytest.mark.parametrize("host", ["good.test", "other.test"])
def test_the_audit_looks_whom_the_certificate_is_for(tmp_path: Path, host: str) -> None:
    pair = PrivateCa(tmp_path).issue("good.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shown() -> None:  # to the look at the certificate; the one at the headers gets nothing
            for _ in range(2):
                with suppress(OSError), listening.accept()[0] as plain:
                    context.wrap_socket(plain, server_side=True).close()

        server = threading.Thread(target=shown)
        server.start()
        port = listening.getsockname()[1]
        found = named(
            check_live(
                config(
                    f"listen: {{ https: 127.0.0.1:{port}, hosts: [{host}] }}\n"
                    f"tls: {{ files: {{ certificate: {pair.certificate}, key: {pair.key} }} }}\n"
                    "backends: { a: http://127.0.0.1:1 }\n"
                )
            )
        )
        server.join()
    check = found["tls.certificate"]
    assert (check.outcome, host in check.what) == (
        ("good", True) if host == "good.test" else ("bad", True)
    )
    assert ("it is not for other.test" in check.what) == (host == "other.test")
