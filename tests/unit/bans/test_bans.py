"""Bans in the store, in nginx's files, and by the watch over the access log."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from infergate.config.load import parse_config
from infergate.control import bans as control
from infergate.control.bans import BanWatch
from infergate.live.bans import enforce
from infergate.paths import Home
from infergate.store.audit import entries
from infergate.store.bans import Ban, active_bans, ban, ban_anew, unban
from infergate.store.database import Database, database_for
from infergate.store.tables import bans
from tests.unit.bans.test_offences import line


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    for folder in (home.run, home.state, home.logs):
        folder.mkdir()
    home.access_log.write_text(line(200, "") + "\n")
    return home


def config_of(text: str):
    return parse_config(f"backends: {{ a: http://x:1 }}\n{text}", Path("i.yaml"), {}).config


@pytest.fixture
def database(home: Home) -> Database:
    return database_for(config_of(""), home)


def networks(database: Database) -> list[str]:
    return [each.network for each in active_bans(database)]


def test_a_ban_holds_until_it_ends_and_the_next_one_knows_of_it(database: Database) -> None:
    ban(database, "192.0.2.1/32", duration_s=-1, reason="over already")
    ban(database, "192.0.2.2/32", duration_s=60, reason="a")
    ban(database, "192.0.2.3/32", duration_s=None, reason="b")
    assert sorted(networks(database)) == ["192.0.2.2/32", "192.0.2.3/32"]
    assert ban(database, "192.0.2.1/32", duration_s=60, reason="again").times == 2
    assert unban(database, "192.0.2.1/32")
    assert not unban(database, "192.0.2.1/32")
    assert ban(database, "192.0.2.1/32", duration_s=60, reason="as if the first").times == 1


def test_who_is_banned_is_not_banned_again_and_who_was_is_for_longer(database: Database) -> None:
    def offend() -> Ban | None:
        return ban_anew(database, "192.0.2.1/32", lambda times: 60 * 2.0**times, reason="r")

    first = offend()
    assert first is not None
    assert offend() is None, "as from a second gateway with the same database"
    ban(database, "192.0.2.1/32", duration_s=-1, reason="over now")
    again = offend()
    assert again is not None
    assert again.until is not None
    assert (again.times, again.until - again.since) == (3, 240)


def test_every_change_is_in_the_audit_log(database: Database) -> None:
    ban(database, "192.0.2.1/32", duration_s=60, reason="why")
    unban(database, "192.0.2.1/32")
    found = entries(database)
    assert [(each.action, each.subject) for each in found] == [
        ("ban.add", "192.0.2.1/32"),
        ("ban.remove", "192.0.2.1/32"),
    ]
    assert found[0].after is not None
    assert found[0].after["reason"] == "why"


def test_files_are_there_only_while_somebody_is_banned(home: Home) -> None:
    assert enforce(home, ["192.0.2.1/32", "2001:db8::/64"])
    geo = (home.bans / "networks.conf").read_text()
    assert geo.count("  1;\n") == 2
    assert not enforce(home, ["2001:db8::/64", "192.0.2.1/32"]), "nothing new: no reload"
    assert enforce(home, [])
    assert list(home.bans.iterdir()) == []
    assert not enforce(home, [])


def append(home: Home, *lines: str) -> None:
    with home.access_log.open("a") as file:
        file.writelines(each + "\n" for each in lines)


def watch(home: Home, database: Database, bans: str, **more: object) -> BanWatch:
    config = config_of(f"bans: {bans}")
    return BanWatch(home, database, lambda: config)


BLOCK = "{ mode: block, offences: { wrong_key: 3 }, duration: 1h }"


def test_an_offender_in_the_log_is_banned_and_what_was_before_is_not_read(
    home: Home, database: Database
) -> None:
    append(home, *[line(401, "invalid_api_key", ip="198.51.100.1")] * 9)
    it = watch(home, database, BLOCK)
    it._once()
    append(home, *[line(401, "invalid_api_key")] * 3)
    append(home, *[line(401, "invalid_api_key", ip="127.0.0.1")] * 9)
    it._once()
    assert networks(database) == ["192.0.2.7/32"]
    assert "192.0.2.7/32" in (home.bans / "networks.conf").read_text()


def test_offences_while_a_ban_is_being_applied_make_it_no_longer(
    home: Home, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = watch(home, database, BLOCK.replace("1h", "10s"))
    it._once()
    for _ in range(3):  # in one look, and in later ones
        append(home, *[line(401, "invalid_api_key")] * 10)
        it._once()
    (only,) = active_bans(database)
    assert only.until is not None
    assert (only.times, only.until - only.since) == (1, 10)
    after = only.until + 1
    monkeypatch.setattr("infergate.control.bans.time.time", lambda: after)
    append(home, *[line(401, "invalid_api_key")] * 2)
    it._once()
    with database.read() as connection:
        assert connection.execute(select(bans.c.times)).scalar() == 1, "nothing was left over"


def test_a_log_that_is_rotated_between_is_read_on(home: Home, database: Database) -> None:
    it = watch(home, database, BLOCK)
    it._once()
    append(home, line(401, "invalid_api_key"))
    home.access_log.rename(home.logs / "access.log.1")
    home.access_log.write_text(line(200, "", "/new") + "\n")
    append(home, *[line(401, "invalid_api_key")] * 2)
    it._once()
    assert networks(database) == ["192.0.2.7/32"]


def test_detect_bans_nobody(home: Home, database: Database) -> None:
    it = watch(home, database, BLOCK.replace("block", "detect"))
    it._once()
    append(home, *[line(401, "invalid_api_key")] * 9)
    it._once()
    assert networks(database) == []


def test_off_reads_nothing_and_still_brings_bans_by_hand_into_force(
    home: Home, database: Database
) -> None:
    it = watch(home, database, "'off'")
    ban(database, "192.0.2.9/32", duration_s=60, reason="by hand")
    it._once()
    assert "192.0.2.9/32" in (home.bans / "networks.conf").read_text()


def test_bans_are_brought_into_force_together(
    home: Home, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads: list[float] = []
    monkeypatch.setattr("infergate.live.bans.reload_nginx", lambda _: reloads.append(1))
    it = watch(home, database, "'off'")
    for host in range(5):
        ban(database, f"192.0.2.{host}/32", duration_s=3600, reason="")
        it._once()
    assert len(reloads) == 1, "the first at once, the others later"
    monkeypatch.setattr(control, "NEW_BANS_AFTER_S", 0.0)
    it._once()
    assert len(reloads) == 2
    later = time.time() + 3601
    monkeypatch.setattr("infergate.control.bans.time.time", lambda: later)
    it._once()
    assert len(reloads) == 2, "what ran out can wait"
    monkeypatch.setattr(control, "EXPIRY_AFTER_S", 0.0)
    it._once()
    assert len(reloads) == 3
    assert list(home.bans.iterdir()) == []
