"""Keys from the store, the YAML and old files become policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infergate.config.auth import Auth
from infergate.config.policies import Grant
from infergate.state.keys import compile_keys, valid_keys
from infergate.state.keys_file import keys_of_lines
from infergate.state.policy import ANONYMOUS, BudgetBlock, Policy
from infergate.store.keys import StoredKey
from infergate.store.secrets import StoredSecret, key_hash


def test_a_policy_is_lines_with_tabs_around_the_models() -> None:
    policy = Policy("ci", Grant(models=["qwen", "llama3"], manage=True), expires_at=17)
    assert policy.compiled() == "em\nci\n17\n\tqwen\tllama3\t\n0,0,0,0,0,1,1\n"
    assert Policy("ci").compiled() == "\nci\n\n\t*\t\n0,0,0,0,0,1,1\n"


def test_the_flags_say_which_lines_of_a_policy_matter() -> None:
    allowed = Grant.model_validate(
        {
            "models": ["qwen-*"],
            "limits": {"requests_per_minute": 60, "max_prompt_bytes": "1k"},
            "priority": "low",
            "weight": 3,
            "allow": ["10.0.0.0/8", "::1"],
            "explain": True,
        }
    )
    assert Policy("ci", allowed).compiled() == (
        "xlqig\nci\n\n\tqwen-*\t\n60,0,0,1024,0,2,3\n10.0.0.0/8 ::1/128"
    )


def test_a_budget_that_is_used_up_is_a_line_of_its_own() -> None:
    blocked = Policy("ci", block=BudgetBlock("10M-tokens/month", 99))
    assert blocked.compiled() == "b\nci\n\n\t*\t\n0,0,0,0,0,1,1\n\n10M-tokens/month\t99"


def _stored(name: str, *secrets: str, **more: Any) -> StoredKey:
    return StoredKey(
        f"key_{name}",
        name,
        5,
        tuple(StoredSecret(key_hash(secret), "", 5) for secret in secrets),
        **more,
    )


def _compiled(*stored: StoredKey, policies: Mapping[str, Grant] = {}, file: str = "") -> Any:
    keys = valid_keys(Auth(), stored, policies, keys_of_lines(file, "f"))
    return compile_keys(Auth(), keys, {})


def test_the_store_wins_over_the_file_and_a_revoked_key_is_gone_from_both() -> None:
    kept = _stored("kept", "one", allowed=Grant(models=["m"]))
    gone = _stored("gone", "two", revoked_at=9)
    text = '"Bearer one" 1;\n"Bearer two" 1;\n'
    assert _compiled(kept, gone, file=text) == {
        key_hash("one"): "\nkept\n\n\tm\t\n0,0,0,0,0,1,1\n\n\nk key_kept"
    }


def test_kept_answers_are_shared_within_a_team_and_else_with_nobody_of_the_same_name() -> None:
    mates = [_stored(name, name, team="ml") for name in ("one", "two")]
    alone = _stored("old", "three", revoked_at=9), _stored("new", "four")
    found = _compiled(*mates, *alone, file='"Bearer five" 1;')
    tenants = {hash_: policy.split("\n")[7] for hash_, policy in found.items()}
    assert tenants == {
        key_hash("one"): "t ml",
        key_hash("two"): "t ml",
        key_hash("four"): "k key_new",
        key_hash("five"): f"k {key_hash('five')[:16]}",
    }


def test_a_secret_on_its_way_out_ends_before_its_key() -> None:
    key = StoredKey(
        "key_1",
        "ci",
        5,
        (StoredSecret("old", "", 5, valid_until=70), StoredSecret("new", "", 6)),
        expires_at=100,
    )
    ends = {hash_: policy.split("\n")[2] for hash_, policy in _compiled(key).items()}
    assert ends == {"old": "70", "new": "100"}


def test_a_policy_says_what_its_key_leaves_open() -> None:
    policy = Grant.model_validate(
        {"models": ["a"], "limits": {"requests_per_minute": 7, "concurrent": 3}, "weight": 2}
    )
    own = Grant.model_validate({"limits": {"concurrent": 1}, "priority": "low"})
    key = _stored("ci", "one", allowed=own, policy="small")
    (compiled,) = _compiled(key, policies={"small": policy}).values()
    assert compiled == "lq\nci\n\n\ta\t\n7,0,1,0,0,2,2\n\n\nk key_ci"


def test_a_declared_key_ends_when_it_says_in_utc() -> None:
    declared = {"ci": {"hash": "a" * 64, "expires": "2027-01-31", "team": "ml"}}
    auth = Auth.model_validate({"keys": declared})
    (found,) = valid_keys(auth, (), {}, ()).values()
    assert (found.expires_at, found.team) == (1801353600, "ml")


def test_without_required_keys_there_is_a_policy_for_nobody() -> None:
    assert ANONYMOUS in compile_keys(Auth(required=False), {}, {})
    assert ANONYMOUS not in compile_keys(Auth(), {}, {})


def test_networks_to_keep_out_and_services_follow_what_is_let_in() -> None:
    kept = Policy("ci", Grant(deny=["10.0.0.5"], allow=["10.0.0.0/8"], services=["qdrant"]))
    assert kept.compiled() == (
        "is\nci\n\n\t*\t\n0,0,0,0,0,1,1\n10.0.0.0/8 !10.0.0.5/32\n\n\n qdrant "
    )
