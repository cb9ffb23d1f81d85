"""Each check finds what it is for, and is silent where there is nothing."""

from __future__ import annotations

import datetime
import gzip
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.engine.facts import Engine
from infergate.hardening import engine as hardening_engine
from infergate.hardening.advisories import is_affected, known
from infergate.hardening.backends import check_backends, listening_addresses
from infergate.hardening.check import Check, bad, good, score, unknown, worst_first
from infergate.hardening.engine import check_engine
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

DAY = 86400


def config(text: str) -> Config:
    backends = "" if "backends:" in text else "backends: { a: http://127.0.0.1:9 }\n"
    return parse_config(backends + text, Path("infergate.yaml"), {}).config


def named(checks) -> dict[str, Check]:
    return {each.name: each for each in checks}


def outcome(checks, name: str) -> tuple[str, str]:
    each = named(checks)[name]
    return each.outcome, each.severity


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


@pytest.mark.parametrize(
    ("advisory", "affected", "fine"),
    [
        (
            "CVE-2026-42945",
            ["1.26.3", "1.28.3", "1.29.8", "1.30.0"],
            ["1.30.1", "1.31.3", "1.32.0"],
        ),
        (
            "CVE-2026-123007",
            ["1.26.3", "1.30.6", "1.31.3", "1.31.8"],
            ["1.8.1", "1.30.7", "1.31.9", "1.32.0"],
        ),
        ("CVE-2026-42533", ["1.26.3", "1.30.3", "1.31.2"], ["1.30.4", "1.31.3"]),
        ("CVE-2026-9256", ["1.30.1", "1.31.0"], ["1.30.2", "1.31.1"]),
        ("CVE-2026-1642", ["1.26.3", "1.28.1", "1.29.4"], ["1.28.2", "1.29.5", "1.30.0"]),
        ("CVE-2025-23419", ["1.26.2", "1.27.3"], ["1.26.3", "1.27.4", "1.28.0"]),
    ],
)
def test_versions_with_known_problems(advisory: str, affected: list[str], fine: list[str]) -> None:
    found = next(each for each in known().advisories if each.name == advisory)
    for versions, expected in ((affected, True), (fine, False)):
        for version in versions:
            assert is_affected(found, tuple(map(int, version.split(".")))) is expected, version


CHANGELOG = """\
nginx (1.26.3-3+deb13u{revision}) trixie-security; urgency=high

  * Backport security fixes from upstream:
{fixes}

 -- A Maintainer <a@example.org>  {date}

nginx (1.26.3-3) unstable; urgency=medium

  * New upstream version.

 -- A Maintainer <a@example.org>  Wed, 05 Feb 2025 17:29:52 +0000
"""
WED = "Wed, 18 Nov 2026 17:29:52 +0000"


def unpacked(folder: Path, fixes: Iterable[str], date: str = WED) -> Engine:
    """An engine as `infergate engine install` leaves it, with this in its changelog."""
    root = folder / "debian-1.26.3-3+deb13u11"
    (root / "usr/sbin").mkdir(parents=True)
    (root / "packages.txt").touch()
    docs = root / "usr/share/doc/nginx"
    docs.mkdir(parents=True)
    lines = "\n".join(f"    - d/p/{fix}.patch: a fix" for fix in fixes)
    text = CHANGELOG.format(revision=11, fixes=lines, date=date)
    (docs / "changelog.Debian.gz").write_bytes(gzip.compress(text.encode()))
    return Engine("debian", (str(root / "usr/sbin/nginx"),), nginx_version=(1, 26, 3))


ALL = [each.name for each in known().advisories]


def test_the_fixes_of_a_package_are_those_that_its_changelog_names(tmp_path: Path) -> None:
    fixes = [name for name in ALL if name not in ("CVE-2026-123007", "CVE-2026-42533")]
    found = named(check_engine(unpacked(tmp_path, fixes)))
    bad_ones = {name for name, check in found.items() if check.outcome == "bad"}
    assert bad_ones == {"engine.CVE-2026-123007", "engine.CVE-2026-42533"}
    assert "engine.version" not in found


def test_a_package_with_all_fixes_is_good_as_of_the_tables_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = unpacked(tmp_path, ALL)
    assert known().as_of.isoformat() in named(check_engine(engine))["engine.version"].what
    monkeypatch.setattr(hardening_engine, "TOLD_FOR", datetime.timedelta(days=-(10**6)))
    old = named(check_engine(engine))["engine.version"]
    assert (old.outcome, f"not known since {known().as_of}" in old.what) == ("unknown", True)


def test_a_package_newer_than_the_table_is_not_called_good(tmp_path: Path) -> None:
    found = named(check_engine(unpacked(tmp_path, ALL, "Wed, 18 Nov 2037 17:29:52 +0000")))
    assert found["engine.version"].outcome == "unknown"
    assert f"not known since {known().as_of}" in found["engine.version"].what


CORRUPT = gzip.compress(b"", mtime=0)[:10] + b"\xff" * 40


def test_a_fix_that_was_taken_out_again_is_none(tmp_path: Path) -> None:
    engine = unpacked(tmp_path, ALL)
    (changelog,) = tmp_path.rglob("changelog.Debian.gz")
    newer = """nginx (1.26.3-3+deb13u12) trixie-security; urgency=high

  * Revert the fix of CVE-2026-123007, which broke uploads.
  * Another hole.

 -- A <a@b>  Thu, 19 Nov 2026 10:00:00 +0000

"""
    text = gzip.decompress(changelog.read_bytes())
    changelog.write_bytes(gzip.compress(newer.encode() + text))
    found = named(check_engine(engine))
    assert {name for name, check in found.items() if check.outcome == "bad"} == {
        "engine.CVE-2026-123007"
    }


@pytest.mark.parametrize("broken", [None, b"", b"\x1f\x8b\x08", CORRUPT, b"no changelog at all"])
def test_a_package_without_a_readable_changelog_is_unknown(
    broken: bytes | None, tmp_path: Path
) -> None:
    engine = unpacked(tmp_path, ALL)
    (changelog,) = tmp_path.rglob("changelog.Debian.gz")
    changelog.unlink()
    if broken is not None:
        changelog.write_bytes(broken)
    assert named(check_engine(engine))["engine.version"].outcome == "unknown"


def test_the_age_of_an_unpacked_package_counts(tmp_path: Path) -> None:
    engine = unpacked(tmp_path, ALL)
    assert named(check_engine(engine))["engine.age"].outcome == "good"
    (manifest,) = tmp_path.rglob("packages.txt")
    os.utime(manifest, (time.time() - 40 * DAY,) * 2)
    assert named(check_engine(engine))["engine.age"].outcome == "bad"


def test_a_release_newer_than_the_table_is_not_called_good() -> None:
    for version in ((1, 30, 99), (1, 31, 99), (1, 33, 0), (2, 0, 0)):
        found = named(check_engine(Engine("custom", ("/opt/nginx",), nginx_version=version)))
        assert found["engine.version"].outcome == "unknown", version


def test_an_engine_of_ones_own_is_judged_by_its_version() -> None:
    own = named(check_engine(Engine("custom", ("/opt/nginx",), nginx_version=(1, 30, 0))))
    assert own["engine.CVE-2026-42945"].mend == "Update nginx to 1.30.1, 1.31.0 or newer."
    assert own["engine.origin"].outcome == "good"


def test_the_embedded_engine_has_the_holes_of_its_release() -> None:
    found = named(check_engine(Engine("embedded", ("/x",), nginx_version=(1, 31, 3))))
    assert found["engine.origin"].outcome == "bad"
    assert found["engine.CVE-2026-123007"].outcome == "bad"
    assert "engine.CVE-2026-42533" not in found, "mended in 1.31.3"


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
