"""`auth.keys_file`: what hand-written gateways have in their map of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.load import LoadedConfig, parse_config
from infergate.errors import KeyInputError
from infergate.paths import Home
from infergate.state.keys_file import keys_of_lines, note_keys_file, read_keys_file
from infergate.state.publish import publish_keys
from infergate.store.database import database_for
from infergate.store.secrets import key_hash
from infergate.store.usage import Sums, UsageGroup, add_usage, usage_by

FULL = """
# Format: "Bearer <your_api_key>" 1;  (the '1' means authorized)
map $http_authorization $ok {
    default 0; hostnames;
    "Bearer one"  1;  # alice
    'Bearer t"wo' 1;#  bob's laptop (2024)
    "Bearer th\\"ree" 1;
    "bearer four"
        1;
    "Bearer five" 1; "Bearer six" 1; # six
    "Bearer off" 0; "~^Bearer old-" 0; "" 0;
    Bearer" seven" 0;
}
"""


def names(text: str, name: str = "api_keys.conf") -> dict[str, str]:
    """hash → name."""
    return {key.hash: key.name for key in keys_of_lines(text, name)}


def by_hash(secret: str) -> str:
    return f"api_keys.conf-{key_hash(secret)[:12]}"


def test_keys_are_named_by_their_comment_or_their_hash_however_nginx_lets_one_write() -> None:
    with pytest.raises(KeyInputError, match="line 12"):
        names(FULL)  # Bearer" seven" is two words, so three are in this line
    assert names(FULL.replace('Bearer" seven" 0;', "")) == {
        key_hash("one"): "alice",
        key_hash('t"wo'): "bob-s laptop -2024",
        key_hash('th"ree'): by_hash('th"ree'),
        key_hash("four"): by_hash("four"),
        key_hash("five"): by_hash("five"),
        key_hash("six"): "six",
    }


def test_no_line_that_goes_or_comes_renames_a_key() -> None:
    lines = [f'"Bearer key-{n}" 1;{" # carol" * (n % 3 == 0)}\n' for n in range(12)]
    whole = names("".join(lines))
    for gone in range(12):
        rest = names("".join(lines[:gone] + lines[gone + 1 :]))
        assert rest.items() <= whole.items()


def test_the_last_line_needs_no_newline_for_its_comment() -> None:
    assert names('"Bearer one" 1; # alice') == names('"Bearer one" 1; # alice\n')


def test_a_comment_that_has_some_of_the_key_names_nobody() -> None:
    secret = "sk-4711-abcdef"
    for comment in (secret, f"Bearer {secret}", "starts with sk-4711", "-abcde"):
        assert names(f'"Bearer {secret}" 1; # {comment}') == {key_hash(secret): by_hash(secret)}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('"Bearer a" 1;\n"Bearer sk-secret 1;\n', 2),
        ('"Bearer a" 1;\n"Bearer sk-secret" 1', 2),
        ('"Bearer a" 1;\n"Bearer sk-secret" 1\n"Bearer b" 1;', 2),
        ('"Bearer a" 1;\n}\n"Bearer sk-secret" 1;', 2),
        ('"Bearer a" 1;\n\n"sk-secret" 1;', 3),
        ('"Basic sk-secret" 1;', 1),
        ('"Bearer " 1; # sk-secret', 1),
        ('"Bearer sk-secret" yes;', 1),
        ('"~^Bearer sk-secret" 1;', 1),
        ('"Bearer a" 1;\ndefault 1; # sk-secret', 2),
        ('"Bearer sk-secret" 1;\n"Bearer sk-secret" 0;', 2),
        ("include sk-secret;", 1),
        ("sk-secret\n", 1),
        ('"Bearer a" 1;\n"Bearer b 1;\n"Bearer sk-secret" 1;\n', 2),
        ('"Bearer a" 1;\n"Bearer b" 1;\n"Bearer sk-', 3),
        ('"Bearer a" 1;\nserver { "Bearer sk-secret" 1; }', 2),
        ('map $a $b { "Bearer sk-secret" 1; }\nmap $a $c { }', 2),
    ],
)
def test_a_line_that_is_not_understood_is_named_and_never_quoted(text: str, line: int) -> None:
    with pytest.raises(KeyInputError) as caught:
        names(text)
    assert f"line {line}" in str(caught.value)
    assert "sk-secret" not in str(caught.value)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.state.mkdir(parents=True)
    return home


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    text = "backends: { a: http://127.0.0.1:1 }\nauth: { keys_file: keys.conf }\n"
    return parse_config(text, tmp_path / "infergate.yaml", {})


def test_includes_are_followed_in_any_quoting_and_what_they_have_is_watched(
    loaded: LoadedConfig, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "keys.d").mkdir()
    for name, key in (("b", "two"), ("a", "one")):
        (tmp_path / f"keys.d/{name}.conf").write_text(f'"Bearer {key}" 1; # {key}\n')
    absolute = tmp_path / "more keys.conf"
    absolute.write_text("include 'keys.d/b.conf';\n\"Bearer three\" 1; # three\n")
    text = f"include keys.d/*.conf;\ninclude \"{absolute}\";\ninclude 'none/*.conf';\n"
    (tmp_path / "keys.conf").write_text(text)
    found = read_keys_file(loaded, home)
    assert [key.name for key in found.keys] == ["one", "two", "three"]
    assert {tmp_path / "keys.d", tmp_path / "keys.d/a.conf", absolute} <= set(found.files)
    (tmp_path / "keys.d/a.conf").write_text('"Bearer x" 1\n')
    assert "a.conf line 1 has no end" in read_keys_file(loaded, home).problem
    assert tmp_path / "keys.d/a.conf" in read_keys_file(loaded, home).files
    (tmp_path / "keys.d/a.conf").write_text("include ../keys.conf;\n")
    assert "includes too many files, or itself" in read_keys_file(loaded, home).problem


def test_a_broken_file_leaves_the_keys_of_before_and_one_that_is_gone_has_none(
    loaded: LoadedConfig, home: Home, tmp_path: Path
) -> None:
    file = tmp_path / "keys.conf"
    assert read_keys_file(loaded, home).problem.startswith("there is no file keys.conf")
    file.write_text('"Bearer one" 1; # alice\n')
    note_keys_file(home, loaded, read_keys_file(loaded, home))
    for broken in (b'"Bearer two"', b"\xff\xfe", b"x" * 2_000_000):
        file.write_bytes(broken)
        found = read_keys_file(loaded, home)
        assert [key.name for key in found.keys] == ["alice"]
        assert found.problem.endswith("; the 1 keys known before hold")
        note_keys_file(home, loaded, found)
    assert b"one" not in home.keys_file.read_bytes()
    file.unlink()
    file.mkdir()
    assert "cannot be read" in read_keys_file(loaded, home).problem
    file.rmdir()
    assert read_keys_file(loaded, home).keys == ()


def test_usage_of_keys_that_were_named_by_their_line_is_under_their_names_of_now(
    loaded: LoadedConfig, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "keys.conf").write_text('\n"Bearer one" 1; # alice\n"Bearer two" 1; # alice\n')
    before = {
        key_hash("one"): "\nkeys.conf:2\n\n\t*\t\n0,0,0,0,0,1,1",
        key_hash("two"): "\nkeys.conf:3\n\n\t*\t\n0,0,0,0,0,1,1",
    }
    import json

    document = {"keys": {"replace": True, "set": before}}
    home.keys_snapshot.write_text(json.dumps(document))
    database = database_for(loaded.config, home, anew=True)
    with database.write() as connection:
        sums = {
            UsageGroup("d", 86400, "keys.conf:2", "m", "a"): Sums(2, cost=5),
            UsageGroup("d", 86400, "keys.conf:3", "m", "a"): Sums(3, 1),
            UsageGroup("d", 86400, "keys.conf:9", "m", "a"): Sums(1),
        }
        add_usage(connection, sums)
    publish_keys(home, loaded, database)
    publish_keys(home, loaded, database)
    counted = usage_by(database, "d", 0, 10**9, ["key"])
    assert [(key, sums.requests, sums.cost) for (key,), sums in counted] == [
        ("alice", 5, 5),
        ("keys.conf:9", 1, 0),
    ]
