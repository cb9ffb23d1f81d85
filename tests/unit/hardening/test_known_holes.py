"""Which known holes an engine has: by its version, and by what its package has mended."""

from __future__ import annotations

import datetime
import gzip
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from infergate.engine.facts import Engine
from infergate.hardening import engine as hardening_engine
from infergate.hardening.advisories import is_affected, known
from infergate.hardening.engine import check_engine
from tests.unit.hardening.found import DAY, named


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


ALL = [each.name for each in known().advisories]
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
