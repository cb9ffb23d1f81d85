"""Keys are made, rotated, revoked, and brought elsewhere; every change is written down."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import text

from infergate.config.policies import Grant
from infergate.errors import KeyInputError
from infergate.state.exchange import keys_of_text, text_of_keys
from infergate.store.audit import entries
from infergate.store.database import Database
from infergate.store.key_changes import add_keys, create_key, revoke_key, rotate_key, set_key
from infergate.store.keys import all_keys, find_key
from infergate.store.policies import all_policies, remove_policy, set_policy
from infergate.store.secrets import key_hash
from infergate.store.teams import all_teams, create_team, remove_team, set_team


def test_a_name_is_given_once_and_free_again_after_revoking(database: Database) -> None:
    create_key(database, "ci")
    with pytest.raises(KeyInputError, match="already"):
        create_key(database, "ci")
    revoke_key(database, "ci")
    again = create_key(database, "ci")
    assert find_key(database, "ci").id == again.stored.id


@pytest.mark.parametrize("name", ["", "a\nb", "-x", "a" * 64, "a\tb"])
def test_a_name_that_would_break_a_line_is_refused(database: Database, name: str) -> None:
    with pytest.raises(KeyInputError):
        create_key(database, name)


def test_what_is_said_of_a_key_comes_back_and_no_more(database: Database) -> None:
    allowed = Grant.model_validate(
        {"models": ["m"], "limits": {"requests_per_minute": 5}, "budget": "1M-tokens/day"}
    )
    create_team(database, "ml", ["5M-tokens/day"])
    set_policy(database, "small", Grant(weight=2))
    made = create_key(
        database, "ci", allowed=allowed, team="ml", policy="small", expires_at=2_000_000_000
    ).stored
    (kept,) = all_keys(database)
    assert kept == made == find_key(database, made.id)
    assert kept.allowed.model_fields_set == {"models", "limits", "budget"}


def test_a_team_or_policy_that_is_not_there_is_told(database: Database) -> None:
    create_team(database, "research", [])
    with pytest.raises(KeyInputError, match="did you mean 'research'"):
        create_key(database, "ci", team="reserch")
    with pytest.raises(KeyInputError, match="no policy"):
        create_key(database, "ci", policy="small")
    assert all_keys(database) == ()


def test_a_rotated_key_has_two_secrets_until_the_grace_is_over(database: Database) -> None:
    first = create_key(database, "ci")
    second = rotate_key(database, "ci", 3600)
    third = rotate_key(database, "ci", 60)
    assert second.stored.id == first.stored.id
    hashes = [key_hash(each.secret) for each in (first, second, third)]
    kept = find_key(database, "ci")
    assert {each.hash for each in kept.secrets} == set(hashes)
    assert kept.hash == hashes[2]
    ends = {each.hash: each.valid_until for each in kept.secrets}
    assert ends[hashes[2]] is None
    now = time.time()
    # The later rotation shortens what the first secret had left.
    assert ends[hashes[0]] is not None
    assert now + 50 < ends[hashes[0]] < now + 70
    assert ends[hashes[1]] is not None
    assert now + 50 < ends[hashes[1]] < now + 70


def test_a_key_is_changed_in_place_and_what_is_not_given_stays(database: Database) -> None:
    create_team(database, "ml", [])
    set_policy(database, "small", Grant(weight=2))
    allowed = {"models": ["m"], "limits": {"requests_per_minute": 5, "tokens_per_minute": 9}}
    create_key(database, "ci", allowed=Grant.model_validate(allowed), team="ml")
    given = Grant.model_validate({"limits": {"requests_per_minute": 7}, "priority": "high"})
    set_key(database, "ci", given, policy="small", expires_at=2_000_000_000)
    key = find_key(database, "ci")
    assert key.allowed.model_dump(exclude_unset=True) == {
        "models": ["m"],
        "limits": {"requests_per_minute": 7, "tokens_per_minute": 9},
        "priority": "high",
    }
    assert (key.team, key.policy, key.expires_at) == ("ml", "small", 2_000_000_000)
    unset = ("tokens_per_minute", "requests_per_minute", "models", "team", "expires_at")
    changed = set_key(database, "ci", Grant(), unset)
    assert changed == find_key(database, "ci")
    assert changed.allowed.model_dump(exclude_unset=True) == {"priority": "high"}
    assert (changed.team, changed.policy, changed.expires_at) == (None, "small", None)
    set_key(database, "ci", Grant())
    written = [each for each in entries(database) if each.action == "key.set"]
    assert len(written) == 2, "what changes nothing is not written down"
    assert written[0].before
    assert written[0].after
    assert (written[0].before["policy"], written[0].after["policy"]) == (None, "small")
    with pytest.raises(KeyInputError, match="no policy"):
        set_key(database, "ci", Grant(), policy="large")
    with pytest.raises(KeyInputError, match="no valid key"):
        set_key(database, "cy", Grant())


def test_a_policy_is_changed_in_place(database: Database) -> None:
    set_policy(database, "small", Grant.model_validate({"weight": 2, "models": ["m"]}))
    set_policy(database, "small", Grant(weight=3))
    assert all_policies(database)["small"] == Grant.model_validate({"weight": 3, "models": ["m"]})
    set_policy(database, "small", Grant(), unset=["models"])
    assert all_policies(database)["small"].model_fields_set == {"weight"}


def test_a_revoked_key_cannot_be_rotated_or_revoked_again(database: Database) -> None:
    create_key(database, "ci")
    revoke_key(database, "ci")
    for change in (lambda: rotate_key(database, "ci", 1), lambda: revoke_key(database, "ci")):
        with pytest.raises(KeyInputError, match="no valid key"):
            change()


def test_every_change_is_written_down_with_who_before_and_after(database: Database) -> None:
    secret = create_key(database, "ci", allowed=Grant(models=["m"])).secret
    rotated = rotate_key(database, "ci", 60).secret
    revoke_key(database, "ci")
    create_team(database, "ml", [])
    set_team(database, "ml", ["1M-tokens/day"])
    remove_team(database, "ml")
    set_policy(database, "p", Grant(weight=2))
    set_policy(database, "p", Grant(weight=3))
    remove_policy(database, "p")
    found = entries(database)
    assert [entry.action for entry in found] == [
        *("key.create", "key.rotate", "key.revoke"),
        *("team.create", "team.set", "team.remove"),
        *("policy.create", "policy.set", "policy.remove"),
    ]
    assert all("@" in entry.who and abs(entry.at - time.time()) < 60 for entry in found)
    assert found[0].after is not None
    assert found[0].after["models"] == ["m"]
    assert found[2].before is not None
    assert found[2].before["revoked_at"] is None
    assert found[2].after is not None
    assert found[2].after["revoked_at"] is not None
    assert (found[7].before, found[7].after) == ({"weight": 2}, {"weight": 3})
    assert secret not in str(found)
    assert rotated not in str(found)
    assert entries(database, last=2) == found[-2:]


def test_a_team_or_policy_in_use_stays(database: Database) -> None:
    create_team(database, "ml", [])
    set_policy(database, "p", Grant())
    create_key(database, "ci", team="ml", policy="p")
    with pytest.raises(KeyInputError, match="still has keys: ci"):
        remove_team(database, "ml")
    with pytest.raises(KeyInputError, match="still holds for keys: ci"):
        remove_policy(database, "p")
    revoke_key(database, "ci")
    remove_team(database, "ml")
    remove_policy(database, "p")
    assert (all_teams(database), all_policies(database)) == ((), {})
    assert find_key(database, "ci").team is None


def test_keys_go_to_another_gateway_with_their_hashes(database: Database, tmp_path: Path) -> None:
    create_team(database, "ml", ["5M-tokens/day"])
    made = create_key(database, "ci", team="ml", allowed=Grant(models=["m"]))
    written = text_of_keys(all_keys(database))
    assert made.secret not in written
    keys, in_clear = keys_of_text(written, "keys.json")
    assert not in_clear
    assert add_keys(database, keys) == 0, "known by their hash"
    with database.write() as connection:
        for table in ("secrets", "keys", "teams"):
            connection.execute(text(f"delete from {table}"))
    create_key(database, "ci")
    assert add_keys(database, keys) == 1
    found = find_key(database, "ci-2")
    assert (found.hash, found.team, found.allowed) == (
        made.stored.hash,
        "ml",
        Grant(models=["m"]),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "{",
        '{"format": "other"}',
        '{"format": "infergate-keys-1", "keys": [{"name": "sk-secret"}]}',
        '{"format": "infergate-keys-1", "keys": [{"id": "", "name": "a", "created_at": 1,'
        ' "secrets": []}]}',
    ],
)
def test_an_export_that_is_none_is_refused_and_never_quoted(wrong: str) -> None:
    with pytest.raises(KeyInputError) as caught:
        keys_of_text(wrong, "keys.json")
    assert "sk-secret" not in str(caught.value)


def test_the_secret_is_not_in_the_file(tmp_path: Path) -> None:
    from sqlalchemy import URL

    path = tmp_path / "state" / "store.db"
    key = create_key(Database(URL.create("sqlite", database=str(path))), "ci")
    stored = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert key.secret.encode() not in stored
    assert all(each.stat().st_mode & 0o077 == 0 for each in path.parent.iterdir())
