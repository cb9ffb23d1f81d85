"""Keys from the store, the YAML and old files become policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.auth import Auth
from infergate.config.policies import KeyTerms
from infergate.errors import KeyInputError
from infergate.state.keys import compile_keys, read_keys_file
from infergate.state.policy import ANONYMOUS, Policy
from infergate.store.keys import KeyStore, key_hash


def test_a_policy_is_lines_with_tabs_around_the_models() -> None:
    policy = Policy("ci", ("qwen", "llama3"), manage=True, expires_at=17)
    assert policy.compiled() == "em\nci\n17\n\tqwen\tllama3\t\n0,0,0,0,0,1,1\n"
    assert Policy("ci").compiled() == "\nci\n\n\t*\t\n0,0,0,0,0,1,1\n"


def test_the_flags_say_which_lines_of_a_policy_matter() -> None:
    terms = KeyTerms.model_validate(
        {
            "limits": {"requests_per_minute": 60, "max_prompt_bytes": "1k"},
            "priority": "low",
            "weight": 3,
            "allow": ["10.0.0.0/8", "::1"],
            "explain": True,
        }
    )
    assert Policy("ci", ("qwen-*",), terms=terms).compiled() == (
        "xlqig\nci\n\n\tqwen-*\t\n60,0,0,1024,0,2,3\n10.0.0.0/8 ::1/128"
    )


def test_the_old_format_is_read_with_its_map_comments_and_switched_off_keys() -> None:
    text = (
        "# Format\nmap $http_authorization $ok {\n  default 0;\n"
        '  "Bearer one"  1;  # a person\n\n  \'Bearer two\' 1;\n  "Bearer off" 0;\n}\n'
    )
    keys = read_keys_file(text, "api_keys.conf")
    assert [(key.name, key.hash) for key in keys] == [
        ("api_keys.conf:4", key_hash("one")),
        ("api_keys.conf:6", key_hash("two")),
    ]


def test_a_line_that_is_not_understood_is_named_and_never_quoted() -> None:
    with pytest.raises(KeyInputError) as caught:
        read_keys_file('"Bearer a" 1;\n"Bearer sk-secret 1;\n', "f.conf")
    assert "line 2" in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_the_store_wins_over_the_file_and_a_revoked_key_is_gone_from_both(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.db")
    kept, gone = store.create("kept", models=["m"]), store.create("gone")
    store.revoke("gone")
    text = f'"Bearer {kept.secret}" 1;\n"Bearer {gone.secret}" 1;\n'
    keys = compile_keys(Auth(), store.list(), read_keys_file(text, "f"))
    assert keys == {kept.stored.hash: "\nkept\n\n\tm\t\n0,0,0,0,0,1,1\n"}


def test_without_required_keys_there_is_a_policy_for_nobody() -> None:
    assert ANONYMOUS in compile_keys(Auth(required=False), (), ())
    assert ANONYMOUS not in compile_keys(Auth(), (), ())


def test_a_name_is_given_once_and_free_again_after_revoking(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.db")
    store.create("ci")
    with pytest.raises(KeyInputError, match="already"):
        store.create("ci")
    store.revoke("ci")
    store.create("ci")


@pytest.mark.parametrize("name", ["", "a\nb", "-x", "a" * 64, "a\tb"])
def test_a_name_that_would_break_a_line_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyInputError):
        KeyStore(tmp_path / "keys.db").create(name)


def test_the_secret_is_not_in_the_file(tmp_path: Path) -> None:
    key = KeyStore(tmp_path / "keys.db").create("ci")
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.secret.encode() not in stored
    assert (tmp_path / "keys.db").stat().st_mode & 0o077 == 0
