"""Where Debian's packages are fetched from, and what apt is told."""

from pathlib import Path
from unittest.mock import patch

import pytest

from infergate.engine.debian import install_debian_engine, package_name, package_version
from infergate.engine.debian_apt import (
    failure_hint,
    failure_lines,
    machine_downloads,
    sources_text,
    takes_expired,
)
from infergate.engine.debian_mirror import (
    Mirrors,
    choose_mirrors,
    machine_mirrors,
    parse_deb822,
    parse_one_line,
)
from infergate.engine.fetch import fetch_if_missing
from infergate.errors import EngineError

DEB822 = """\
Types: deb
# a comment inside
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def test_the_mirror_of_a_sources_file_is_found() -> None:
    assert choose_mirrors(parse_deb822(DEB822)) == Mirrors(
        "http://mirror.test/debian", "http://mirror.test/debian-security"
    )


def test_the_mirror_of_an_old_list_file_is_found() -> None:
    text = """
    # deb http://old.test/debian bookworm main
    deb-src http://source.test/debian bookworm main
    deb [arch=amd64] http://mirror.test/debian/ bullseye main contrib  # ours
    deb http://mirror.test/security bullseye/updates main
    deb http://security.test/debian-security bullseye-security main
    """
    assert choose_mirrors(parse_one_line(text)) == Mirrors(
        "http://mirror.test/debian/", "http://security.test/debian-security"
    )


@pytest.mark.parametrize(
    "foreign",
    [
        "deb [signed-by=/k/docker.gpg] http://foreign.test/linux/debian bookworm main",
        "deb http://foreign.test/linux/debian bookworm stable",
        "deb http://foreign.test/chrome/deb stable main",
        "deb http://foreign.test/debian bookworm-pgdg contrib",
        "deb http://foreign.test/ubuntu noble main",
        "deb cdrom:[Debian]/ bookworm main",
    ],
)
def test_foreign_repositories_are_skipped(foreign: str) -> None:
    assert choose_mirrors(parse_one_line(foreign)) is None
    both = [*parse_one_line(foreign), *parse_deb822(DEB822)]
    assert choose_mirrors(both) == choose_mirrors(parse_deb822(DEB822))


def test_a_source_with_debians_own_keyring_comes_before_one_without() -> None:
    plain = parse_one_line("deb http://first.test/debian bookworm main")
    mirrors = choose_mirrors([*plain, *parse_deb822(DEB822)])
    assert mirrors is not None
    assert mirrors.archive == "http://mirror.test/debian"


def test_a_source_that_is_switched_off_is_not_used() -> None:
    assert parse_deb822(DEB822.split("\n\n", maxsplit=1)[0] + "\nEnabled: no\n") == []


def test_a_mirror_list_of_a_cloud_image_is_passed_on_as_it_is() -> None:
    text = "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main"
    assert choose_mirrors(parse_one_line(text)) == Mirrors(
        "mirror+file:/etc/apt/mirrors/debian.list", None
    )


def test_a_folder_of_sources_is_read_whole_and_disabled_files_are_not(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "debian.sources.disabled").write_text(DEB822)
    assert machine_mirrors(tmp_path) is None
    (parts / "debian.sources").write_text(DEB822)
    assert machine_mirrors(tmp_path) == choose_mirrors(parse_deb822(DEB822))


def test_apt_is_told_of_debians_suites_only_and_of_its_keyring() -> None:
    text = sources_text(Mirrors("http://m.test/debian", "http://s.test/sec"), Path("/k/debian.gpg"))
    told = parse_deb822(text)
    assert [source.suites for source in told] == [
        ("trixie", "trixie-updates"),
        ("trixie-security",),
    ]
    assert {source.signed_by for source in told} == {"/k/debian.gpg"}
    assert "trusted" not in text.lower()


def test_the_machines_proxy_is_kept_and_its_leniency_is_not() -> None:
    dump = """\
APT::Get::AllowUnauthenticated "true";
Acquire::http::Proxy "http://proxy.test:3128";
Acquire::AllowInsecureRepositories "1";
acquire::allowweakRepositories "1";
Acquire::gpgv::Options:: "--ignore-time-conflict";
DPkg::Post-Invoke:: "rm -rf /";
"""
    assert machine_downloads(dump) == 'Acquire::http::Proxy "http://proxy.test:3128";\n'


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ('Acquire::Check-Valid-Until "false";', True),
        ('acquire::check-valid-until "0";', True),
        ('Acquire::Check-Valid-Until::Debian-Security "no";', True),
        ('Acquire::Check-Date "false";', True),
        ('Acquire::Min-ValidTime "31536000";', True),
        ('Acquire::Check-Valid-Until "true";', False),
        ('Acquire::http::Proxy "http://proxy.test:3128";', False),
    ],
)
def test_lists_that_have_expired_are_not_taken_in_silence(line: str, *, is_told: bool) -> None:
    assert takes_expired(machine_downloads(line)) is is_told


def test_apts_failure_is_shown_without_its_progress() -> None:
    output = "Get:1 x\nErr:2 y\n  NO_PUBKEY 6ED0E7B82643E131\nE: The repository is not signed.\n"
    assert failure_lines(output) == "Err:2 y\n  E: The repository is not signed."
    assert "debian-archive-keyring" in failure_hint(output)


def test_a_package_file_tells_name_and_version_with_epoch() -> None:
    package = Path("zlib1g_1%3a1.3.1-1+deb13u1_amd64.deb")
    assert (package_name(package), package_version(package)) == ("zlib1g", "1:1.3.1-1+deb13u1")


def test_a_machine_without_apt_is_told_what_else_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError) as caught:
        install_debian_engine(tmp_path, print)
    assert "no apt-get" in caught.value.what
    assert "embedded" in (caught.value.hint or "")
    assert [file.name for file in (tmp_path / "engines").iterdir()] == [".lock"]


def test_an_engine_that_a_killed_upgrade_put_aside_is_back_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without apt nothing else comes
    aside = tmp_path / "engines/.installing-x/replaced"
    for name in ("debian-1", "debian-2"):
        (aside / name).mkdir(parents=True)
    (tmp_path / "engines/debian-2/new").mkdir(parents=True)
    with pytest.raises(EngineError):
        install_debian_engine(tmp_path, print)
    there = {path.name for path in (tmp_path / "engines").iterdir()}
    assert there == {".lock", "debian-1", "debian-2"}
    assert (tmp_path / "engines/debian-2/new").is_dir()


def test_a_folder_for_engines_that_cannot_be_written_says_so_and_auto_goes_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "engines").write_text("")
    with pytest.raises(EngineError) as caught:
        install_debian_engine(tmp_path, print)
    assert caught.value.where == str(tmp_path / "engines")
    said: list[str] = []
    with patch("infergate.engine.fetch.find_system", return_value=[]):
        fetch_if_missing("auto", tmp_path, said.append)
    assert "so the embedded one has to do" in said[-1]


def test_a_home_that_the_loader_would_misread_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        install_debian_engine(tmp_path / "a:b", print)
    assert caught.value.where is not None
    assert not (tmp_path / "a:b").exists()
