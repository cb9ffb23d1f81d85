"""What is no backup, or was changed on the way, is refused before anything is touched."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infergate.backup.archive import Header, content, end, headers, put
from infergate.backup.manifest import Kept, Manifest, read_manifest
from infergate.backup.seal import MAGIC, Sealing
from infergate.backup.staged import staged
from infergate.errors import BackupRefused
from infergate.paths import Home

YAML = b"backends: { a: http://127.0.0.1:1 }\n"
PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of the work for a key: nobody guesses here."""
    monkeypatch.setattr("infergate.backup.seal._N", 2**7)


def manifest(*files: tuple[str, bytes]) -> Manifest:
    kept = tuple(Kept(n, len(d), hashlib.sha256(d).hexdigest(), 0o600) for n, d in files)
    return Manifest(
        1, "0.1.0", "host", "/srv/.infergate", "config/infergate.yaml", "/srv/infergate.yaml",
        None, None, (), kept,
    )  # fmt: skip


def archive(*files: tuple[str, bytes], said: Manifest | None = None, more: bytes = b"") -> bytes:
    """more: tar blocks between the manifest's and the end's."""
    out = io.BytesIO()
    text = (said or manifest(*files)).as_json()
    put(out, Header("manifest.json", len(text), 0o600), iter((text,)), 1)
    for name, data in files:
        put(out, Header(name, len(data), 0o600), iter((data,)), 1)
    out.write(more)
    end(out)
    return gzip.compress(out.getvalue(), mtime=0)


GOOD = (("config/infergate.yaml", YAML),)


def read(folder: Path, data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    """The YAML that a backup brings."""
    file = folder / "file"
    file.write_bytes(data)
    with staged(file, Home(folder / "home"), lambda: passphrase) as found:
        return found.path(found.manifest.config).read_bytes()


def sealed(data: bytes) -> bytes:
    out = io.BytesIO()
    sealing = Sealing(out, PASSPHRASE)
    for at in range(0, len(data), 100_000):
        sealing.write(data[at : at + 100_000])
    sealing.finish()
    return out.getvalue()


def other(kind: bytes, name: str = "home/tls/x", to: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info.tobuf(tarfile.USTAR_FORMAT)


def test_a_good_one_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, archive(*GOOD)) == YAML
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"], "and nothing is left"


@pytest.mark.parametrize(
    "name",
    ["../x", "home/../../x", "/etc/x", "home//x", "home/./x", "home/a\\b", "home/\x1b[2J", ".."],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupRefused, match="leads elsewhere"):
        read(tmp_path, archive(*GOOD, (name, b"x")))
    with pytest.raises(BackupRefused, match="leads elsewhere"):
        read(tmp_path, archive(*GOOD, (name, b"x"), said=manifest(*GOOD)))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
        tarfile.DIRTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE,
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(BackupRefused, match="something else than files"):
        read(tmp_path, archive(*GOOD, more=other(kind, to="/etc/passwd")))


def test_sizes_are_those_that_were_said(tmp_path: Path) -> None:
    kept = manifest(*GOOD).files[0]
    for size in (len(YAML) - 1, 2**60):
        said = replace(manifest(), files=(replace(kept, size=size),))
        with pytest.raises(BackupRefused, match=r"another size|no room"):
            read(tmp_path, archive(*GOOD, said=said))
    huge = tarfile.TarInfo("home/state/x")
    huge.size = 2**40
    with pytest.raises(BackupRefused, match="does not list"):
        read(tmp_path, archive(*GOOD, more=huge.tobuf(tarfile.GNU_FORMAT)))


def test_a_first_file_that_unpacks_without_end_is_not_unpacked(tmp_path: Path) -> None:
    info = tarfile.TarInfo("manifest.json")
    info.size = 1 << 30
    bomb = gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(64 << 20), 9)
    with pytest.raises(BackupRefused, match="no backup"):
        read(tmp_path, bomb)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: archive(*GOOD, *GOOD), "twice"),
        (lambda: archive(*GOOD, ("home/x", b"1"), said=manifest(*GOOD)), "does not list"),
        (lambda: archive(*GOOD, said=manifest(*GOOD, ("home/x", b"1"))), "lacks files"),
        (lambda: archive(("elsewhere/x", b"1")), "does not list"),
        (lambda: archive(("home/x", b"1")), "lacks the configuration"),
        (lambda: archive(*GOOD, ("home/a", b"1"), ("home/a/b", b"1")), "one name"),
        (lambda: archive(*GOOD, said=manifest(("config/infergate.yaml", b"x" * len(YAML)))),
         "not as it was"),
        (lambda: archive(*GOOD)[:-20], "damaged|cut off"),
        (lambda: b"", "no backup|damaged|cut off"),
        (lambda: b"# yaml\n" * 100, "no backup"),
        (lambda: os.urandom(2000), "no backup"),
        (lambda: gzip.compress(os.urandom(2000)), "no backup"),
        (lambda: gzip.compress(gzip.decompress(archive(*GOOD)) + b"x"), "behind its end"),
        (lambda: gzip.compress(gzip.decompress(archive(*GOOD))[:-1024]), "too early"),
        (lambda: MAGIC, "cut off"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_was_made_is_refused(
    tmp_path: Path, make: Callable[[], bytes], said: str
) -> None:
    with pytest.raises(BackupRefused, match=said):
        read(tmp_path, make())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(
    "text",
    [b"[]", b"{}", b'{"v": 1}', b"{" * 10_000, b'{"v": 2, "infergate": "9"}', b"\xff"],
)
def test_a_manifest_that_is_not_understood_is_refused(text: bytes) -> None:
    with pytest.raises(BackupRefused):
        read_manifest(text)


def test_one_that_is_sealed_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    data = sealed(archive(*GOOD, ("home/x", os.urandom(3 << 20))))
    assert read(tmp_path, data) == YAML
    with pytest.raises(BackupRefused, match="another passphrase"):
        read(tmp_path, data, "correct horse batterz")


def test_one_that_is_sealed_cannot_be_changed_cut_or_put_together_anew(tmp_path: Path) -> None:
    data = sealed(archive(*GOOD, ("home/x", os.urandom(3 << 20))))
    head, piece = len(MAGIC) + 16 + 7, (1 << 20) + 16
    first, second = data[head : head + piece], data[head + piece : head + 2 * piece]
    rest = data[head + 2 * piece :]
    for changed in (
        data[:-1],
        data[: head + piece],
        data[:head] + second + first + rest,
        data[:head] + first + first + rest,
        data[:head] + first + rest,
        data + b"x",
        data[: head + 10] + bytes([data[head + 10] ^ 1]) + data[head + 11 :],
        data[: len(MAGIC)] + bytes(16) + data[len(MAGIC) + 16 :],
    ):
        with pytest.raises(BackupRefused):
            read(tmp_path, changed)


def test_an_archive_is_a_tar_that_others_can_list() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(*GOOD))) as opened:
        assert opened.getnames() == ["manifest.json", "config/infergate.yaml"]
        assert all(each.isreg() and each.mode == 0o600 for each in opened)
    source = io.BytesIO(gzip.decompress(archive(*GOOD)))
    found = {header.name: b"".join(content(source, header)) for header in headers(source)}
    assert found["config/infergate.yaml"] == YAML
    assert json.loads(found["manifest.json"])["v"] == 1
