"""A bundle has what helps, and nothing that is secret: planted, built, searched."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.errors import StateError
from infergate.support.known import secrets_in
from infergate.support.nginx_text import without_secrets
from infergate.support.redact import GONE, Redactor
from tests.unit.support.planted import ENVIRON, FILE, PLANTED, Planted


def _secret_settings(kind: Any, where: str = "") -> Iterator[str]:
    """Every place of the configuration whose type is a secret."""
    if kind is SecretStr:
        yield where
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from _secret_settings(field.annotation, f"{where}.{name}".lstrip("."))
    else:
        parts = typing.get_args(kind)
        below = f"{where}.*" if typing.get_origin(kind) in (dict, list) else where
        for each in parts[1:] if typing.get_origin(kind) is dict else parts:
            yield from _secret_settings(each, below)


def test_a_secret_is_planted_for_every_setting_that_is_one() -> None:
    assert set(_secret_settings(Config)) == set(PLANTED)


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    it = Planted(tmp_path)
    assert it.run("keys", "create", "carol").returncode == 0
    return it


def test_no_planted_secret_is_in_a_bundle(planted: Planted) -> None:
    members = planted.bundled()
    assert [
        (name, each)
        for name, text in members.items()
        for each in planted.searched()
        if each in text
    ] == []


BY_HAND = """
if ($http_x_api_key != "leak") { return 403; }
if ($arg_token = leak) { return 200; }
map $http_x_api_key $ok { default 0; leak 1; "~^leak$" 1; 'le;ak' 1; }
set $secret "leak"; set $password le\\ ak;
proxy_set_header Authorization "Token leak";
proxy_set_header Cookie "sid=leak; x={leak}";
secure_link_md5 "$uri leak";
# the password is leak
uwsgi_param SECRET_KEY leak; js_var $api_token leak;
env OPENAI_API_KEY=leak;
proxy_ssl_certificate_key "data:leak";
add_header X-Session "leak
"""
"""The last one has no end."""


def test_what_an_operator_wrote_for_nginx_is_told_without_its_secrets() -> None:
    told = without_secrets(BY_HAND)
    assert "leak" not in told
    assert "le;ak" not in told
    assert told.startswith(f"\nif ($http_x_api_key != {GONE}) {{ return 403; }}\n")
    kept = "location /a { proxy_pass http://b; proxy_cache_key $host$uri; return 200 'yes'; }"
    assert without_secrets(kept) == kept
    assert without_secrets("auth_request /a;\nssl_certificate_key /k.pem;") == (
        "auth_request /a;\nssl_certificate_key /k.pem;"
    )


def test_what_helps_is_in_it(planted: Planted) -> None:
    members = planted.bundled()
    assert not [name for name in members if name.endswith(".failed")]
    assert "http://10.0.0.5:8000" in members["config.yaml"]
    assert "x-tenant" in members["config.yaml"]
    assert json.loads(members["status.json"])["running"] is False
    assert "process.gateway" in members["doctor.json"]
    assert json.loads(members["versions.json"])["packages"]["pydantic"]
    assert members["nginx/nginx.conf"].startswith("worker_processes 2;")
    assert "nginx/secrets.conf" not in members
    assert "proxy_set_header Cookie $http_cookie;" in members["nginx/sites-enabled/own.conf"]
    assert "# TYPE" in members["metrics.txt"]
    first, second = map(json.loads, members["logs/access.jsonl"].splitlines())
    assert (first["uri"], first["status"]) == ("/v1/chat/completions", 200)
    assert (first["key"], second["key"]) == ("key-1", "key-1")
    assert "upstream timed out" in members["logs/error.log"]
    assert "http://10.0.0.5:8000" in members["logs/error.log"]
    assert json.loads(members["logs/gateway.log"])["event"] == "the backend answered"
    assert "prompts are in no log" in members["README.txt"]


def test_a_broken_file_and_another_database_leak_no_more(tmp_path: Path) -> None:
    planted = Planted(tmp_path, more='store: "${STORE}"\n')
    whole = planted.bundled()
    assert json.loads(whole["status.json"])["running"] is False
    planted.file.write_text(FILE.replace("engine: vllm", "engine: 'planted-environment'"))
    broken = planted.bundled()
    assert "infergate.yaml:" in broken["config.problems.txt"]
    planted.file.write_text(FILE + "\t- no: yaml: [")
    unreadable = planted.bundled()
    assert "doctor.json" in unreadable
    found = [
        (name, each)
        for members in (whole, broken, unreadable)
        for name, text in members.items()
        for each in planted.searched()
        if each in text
    ]
    assert found == []


def test_what_cannot_be_had_is_said_and_hides_nothing_else(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise StateError(f"no database for {PLANTED['store.url']}", where="state/store.db")

    monkeypatch.setattr("infergate.support.bundle.metrics", broken)
    members = planted.bundled()
    assert "state/store.db: no database" in members["metrics.txt.failed"]
    assert "planted" not in members["metrics.txt.failed"]
    assert {"status.json", "doctor.json"} <= set(members)


def test_a_file_that_is_there_is_not_written_over(planted: Planted) -> None:
    (planted.folder / "mine").write_text("mine")
    ran = planted.run("support-bundle", str(planted.folder / "mine"))
    assert (ran.returncode, "is there already" in ran.stderr) == (2, True)
    assert (planted.folder / "mine").read_text() == "mine"


def test_where_a_secret_would_be_left_there_is_no_bundle(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Redactor, "text", lambda _self, text: text)
    ran = planted.run("support-bundle", str(planted.folder / "out.tar.gz"))
    assert (ran.returncode, "so there is none" in ran.stderr) == (1, True)
    assert not (planted.folder / "out.tar.gz").exists()


def test_what_is_said_of_it_is_json_if_asked(planted: Planted) -> None:
    out = planted.folder / "b.tar.gz"
    said = json.loads(planted.run("support-bundle", str(out), "--lines", "0", "--json").stdout)
    assert said["file"] == str(out)
    assert not [name for name in said["members"] if name.startswith("logs/")]


def test_all_secrets_of_a_configuration_are_known(planted: Planted) -> None:
    more = FILE + 'store: "${STORE}"\n'
    config = parse_config(more, planted.file, ENVIRON).config
    assert set(secrets_in(config)) == set(PLANTED.values())


def test_a_version_a_time_and_a_limit_are_no_secrets() -> None:
    kept = "nginx 1.31.3 at 03:01:24, max_tokens: 100, prompt_tokens: 7, 127.0.0.1 and ::1"
    assert Redactor(()).log(kept) == kept
    said = {"key": "alice", "generation_tokens": "5", "api_key": "x", "nested": {"password": "y"}}
    assert Redactor(()).data(["--token", "x", "--password=y", "--seed", "7"]) == [
        *("--token", GONE, f"--password={GONE}", "--seed", "7")
    ]
    assert Redactor(()).data(said) == {
        "key": "alice",
        "generation_tokens": "5",
        "api_key": GONE,
        "nested": {"password": GONE},
    }
