"""A bundle has what helps, and nothing that is secret: planted, built, searched."""

from __future__ import annotations

import base64
import json
import tarfile
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import BaseModel, SecretStr

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.errors import StateError
from infergate.paths import Home
from infergate.support.known import secrets_in
from infergate.support.nginx_text import without_secrets
from infergate.support.redact import GONE, Redactor
from tests.access_log import line
from tests.backends.private_ca import PrivateCa
from tests.gateway import Ran, run_here

CRYPT = "$6$rounds=5000$saltsalt$" + "plantedHash/." * 6 + "abcdefgh"
PLANTED = {
    "backends.*.api_key": "planted-backend-key",
    "backends.*.headers.*": "planted/header+value",
    "serve.*.api_key": "planted-engine-key",
    "serve.*.environment.*": "planted-environment",
    "services.*.api_key": "planted/service+key",
    "services.*.users.*": CRYPT,
    "tls.acme.eab.hmac_key": "cGxhbnRlZC1obWFj",
    "store.url": "postgresql://gateway:planted-password@127.0.0.1:1/infergate",
}
"""Every setting that is a secret by its type → what the test writes there."""

ELSEWHERE = {
    "IN_ARGS": "planted-in-arguments",
    "FILE_KEY": "planted-key-of-a-file",
    "ALICE": "{SHA}plantedAAAAAAAAAAAAAAAAAA=",
    "FIRST": "planted-first-key",
    "COMMENT": "planted-in-a-comment",
    "HAND": "planted-by-hand",
    "ADDRESS": "203.0.113.77",
    "AGENT": "planted-agent",
    "PATH": "planted-path",
    "MODEL": "planted-model-name",
    "QUERY": "planted-query",
    "COOKIE": "planted-cookie",
    "TOKEN": "ig-admin-plantedplantedplanted",
    "KEY": "sk-ig-plantedplantedplanted",
    "NAME": "planted-name-of-a-key",
    "MAIL": "planted.person@example.com",
}
"""What else must not be there."""

FILE = f"""\
# {ELSEWHERE["COMMENT"]}: password hunter2
listen: {{ http: 127.0.0.1:80, https: 127.0.0.1:443, hosts: [api.test, other.test] }}
tls:
  acme:
    email: {ELSEWHERE["MAIL"]}
    eab: {{ kid: kid, hmac_key: "${{HMAC}}" }}
  hosts:
    other.test: {{ files: {{ certificate: other.test.crt, key: other.test.key }} }}
auth:
  keys_file: api_keys.conf
  keys: {{ alice: {{ hash: "sha256:{"ab" * 32}" }} }}
backends:
  a:
    url: http://10.0.0.5:8000
    api_key: "${{BACKEND}}"
    headers: {{ X-Tenant: planted/header+value }}
serve:
  e:
    engine: vllm
    model: org/model
    listen: 127.0.0.1:9001
    api_key: "${{ENGINE}}"
    environment: {{ HF_TOKEN: planted-environment }}
    args: [--seed-name, "${{IN_ARGS}}"]
services:
  s: {{ url: http://127.0.0.1:9002, host: s.test, auth: basic, users: {{ bob: "${{BOB}}" }} }}
  t:
    {{ url: http://127.0.0.1:9003, host: t.test, auth: basic, users_file: users,
       api_key: planted/service+key }}
"""
ENVIRON = {
    "HMAC": PLANTED["tls.acme.eab.hmac_key"],
    "BACKEND": PLANTED["backends.*.api_key"],
    "ENGINE": PLANTED["serve.*.api_key"],
    "IN_ARGS": ELSEWHERE["IN_ARGS"],
    "BOB": CRYPT,
    "STORE": PLANTED["store.url"],
}


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


class Planted:
    """A gateway that never ran, with a secret wherever there can be one."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.file = folder, folder / "infergate.yaml"
        self.home = Home(folder / "home")
        for each in (self.home.state, self.home.logs, self.home.tls, self.home.current):
            each.mkdir(parents=True)
        ca = PrivateCa(folder)
        pair = ca.issue("other.test")
        (self.home.tls / "ca.key").write_bytes(pair.key.read_bytes())
        self.pem = pair.key.read_text().splitlines()[1]
        (folder / "api_keys.conf").write_text(f'"Bearer {ELSEWHERE["FILE_KEY"]}" 1; # al\n')
        (folder / "users").write_text(f"alice:{ELSEWHERE['ALICE']}\n")
        self.home.first_key.write_text(ELSEWHERE["FIRST"])
        self.file.write_text(FILE + more)
        self._nginx()
        self._logs()

    def _nginx(self) -> None:
        files = {
            "nginx.conf": "worker_processes 2;\ninclude secrets.conf;\n",
            "secrets.conf": f'map $b $key {{ a "{PLANTED["backends.*.api_key"]}"; }}\n',
            "sites-enabled/own.conf": (
                f'proxy_set_header Authorization "Basic {ELSEWHERE["HAND"]}";\n'
                f"proxy_set_header X-Api-Key {ELSEWHERE['HAND']};\n"
                f"proxy_set_header Cookie $http_cookie;\n"
                f"proxy_pass http://u:{ELSEWHERE['HAND']}@127.0.0.1:9;\n"
                f"add_header X-Key2 {PLANTED['backends.*.headers.*']};\n"
            ),
        }
        for name, text in files.items():
            path = self.home.current / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def _logs(self) -> None:
        of_client = {
            "ip": ELSEWHERE["ADDRESS"],
            "user_agent": ELSEWHERE["AGENT"],
            "request_id": ELSEWHERE["AGENT"],
            "model_asked": ELSEWHERE["MODEL"],
            "key": ELSEWHERE["NAME"],
        }
        lines = [
            line(uri="/v1/chat/completions", **of_client),
            line(uri=f"/s/reset/{ELSEWHERE['PATH']}", **of_client),
        ]
        self.home.access_log.write_text("".join(f"{each}\n" for each in lines))
        address = ELSEWHERE["ADDRESS"]
        self.home.error_log.write_text(
            f"2026/11/30 02:00:00 [error] 1#1: *1 upstream timed out, client: {address}, server: , "
            f'request: "GET /x?q={ELSEWHERE["QUERY"]} HTTP/1.1", '
            f'upstream: "http://10.0.0.5:8000/{ELSEWHERE["PATH"]}", host: "api.test", '
            f'referrer: "https://x.test/?t={ELSEWHERE["QUERY"]}"\n'
            f"2026/11/30 02:00:01 [warn] 1#1: js: 2001:db8::77 said {ELSEWHERE['KEY']}\n"
        )
        facts = {
            "event": "the backend answered",
            "header": f"Authorization: Bearer {ELSEWHERE['TOKEN']}",
            "set-cookie": f"session={ELSEWHERE['COOKIE']}; HttpOnly",
            "api_key": PLANTED["backends.*.api_key"],
            "url": f"https://u:{ELSEWHERE['HAND']}@x.test/?a={ELSEWHERE['QUERY']}",
            "quoted": quote(PLANTED["services.*.api_key"]),
            "encoded": base64.b64encode(PLANTED["backends.*.headers.*"].encode()).decode(),
            "from": f"{ELSEWHERE['ADDRESS']}:5123",
            "pem": f"-----BEGIN PRIVATE KEY-----\n{self.pem}\n-----END PRIVATE KEY-----",
        }
        (self.home.logs / "gateway.log").write_text(json.dumps(facts) + "\n")

    def run(self, *arguments: str) -> Ran:
        environ = {**ENVIRON, "INFERGATE_HOME": str(self.home.root)}
        return run_here([*arguments, "-c", str(self.file)], environ)

    def bundled(self, *options: str) -> Mapping[str, str]:
        out = self.folder / "bundle.tar.gz"
        out.unlink(missing_ok=True)
        ran = self.run("support-bundle", str(out), *options)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert out.stat().st_mode & 0o777 == 0o600
        with tarfile.open(out) as archive:
            return {
                each.name.partition("/")[2]: archive.extractfile(each).read().decode()  # type: ignore[union-attr]
                for each in archive
            }

    def searched(self) -> Iterator[str]:
        """Every form of everything that is planted."""
        password = "planted-password"
        for each in (*PLANTED.values(), *ELSEWHERE.values(), password, self.pem, "ab" * 32):
            yield each
            yield from (quote(each, safe=""), quote(each))
            yield base64.b64encode(each.encode()).decode().rstrip("=")
        yield from ("hunter2", "2001:db8::77")


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
