"""Keys, drains and models change without a reload."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from infergate.config import document
from infergate.live.drain import nginx_workers
from infergate.store import database
from tests.backends.servers import scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, gateway, until


def workers(it: Gateway) -> frozenset[int]:
    return nginx_workers(it.status()["processes"]["nginx"])


def test_a_revoked_key_is_refused_within_a_second_while_its_stream_runs_on(pair: Pair) -> None:
    it, a, b = pair
    before = workers(it)
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", chunk_delay_s=0.2, chunks=10)
    it.run("keys", "create", "leaver")
    key = it.new_key("leaver")
    got: list[httpx.Response] = []
    stream = threading.Thread(target=lambda: got.append(it.chat(key=key, stream=True)))
    stream.start()
    until(lambda: a.stats()["open"] + b.stats()["open"] == 1)
    name = next(each["name"] for each in _keys(it) if key.startswith(each["prefix"]))
    it.run("keys", "revoke", name)
    assert it.get("/v1/models", key=key).status_code == 401
    stream.join(10)
    assert got[0].text.endswith("data: [DONE]\n\n")
    assert workers(it) == before, "no reload"


def test_status_reads_no_yaml_and_no_database_and_an_apply_reads_what_is_new(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a thousand backends each of the two takes longer than all the rest of it."""
    it, _, _ = pair
    it.run("backend", "undrain", "a")
    reads: list[str] = []
    load = YAML.load

    def noted(self: YAML, text: str) -> object:
        reads.append(text)
        return load(self, text)

    document._parsed.cache_clear()
    monkeypatch.setattr(YAML, "load", noted)
    with monkeypatch.context() as patch:
        patch.setattr(database, "create_engine", None)
        assert it.status()["file_applied"]
    assert reads == []
    it.file.write_text(it.file.read_text() + "retries: { attempts: 2 }\n")
    it.run("apply", "--window", "0s")
    assert reads == [it.file.read_text()]
    assert not it.status()["drain"]["streams"]


def test_a_key_is_changed_in_place_from_the_next_request_on(pair: Pair) -> None:
    it, _, _ = pair
    before = workers(it)
    key = it.new_key("changing")
    name = next(e["name"] for e in _keys(it) if key.startswith(e["prefix"]))
    assert it.chat(key=key).status_code == 200
    it.run("keys", "set", name, "--models", "other")
    assert it.chat(key=key).status_code in (403, 404)
    it.run("keys", "set", name, "--unset", "models", "--rpm", "2")
    codes = [it.chat(key=key).status_code for _ in range(3)]
    assert (codes[0], codes[-1]) == (200, 429)
    it.run("keys", "set", name, "--unset", "rpm", "--expires", "1s")
    until(lambda: it.chat(key=key).status_code == 401)
    it.run("keys", "set", name, "--unset", "expires")
    assert it.chat(key=key).status_code == 200
    refused = it.run("keys", "set", name, "--unset", "rmp", check=False)
    assert (refused.returncode, "did you mean 'rpm'" in refused.stderr) == (2, True)
    assert workers(it) == before, "no reload"


def _keys(it: Gateway) -> list[dict[str, Any]]:
    import json

    return json.loads(it.run("keys", "list", "--json").stdout)


def test_missing_wrong_and_expired_keys_are_told_apart(pair: Pair) -> None:
    it, _, _ = pair
    key = it.new_key("short", "--expires", "5s")
    assert it.chat(key=key).status_code == 200
    time.sleep(6.1)
    codes = [
        httpx.get(it.url + "/v1/models").json()["error"]["code"],
        it.get("/v1/models", key="sk-wrong").json()["error"]["code"],
        it.get("/v1/models", key=key).json()["error"]["code"],
    ]
    assert codes == ["missing_api_key", "invalid_api_key", "expired_api_key"]
    assert it.get("/v1/models", key="sk-wrong").headers["www-authenticate"] == "Bearer"


def test_a_key_is_taken_from_each_header_that_clients_use(pair: Pair) -> None:
    it, _, _ = pair
    for headers in (
        {"x-api-key": it.key},
        {"api-key": it.key},
        {"Authorization": f"bearer {it.key}"},
    ):
        assert httpx.get(it.url + "/v1/models", headers=headers).status_code == 200


def test_a_drained_backend_gets_nothing_new_and_finishes_what_it_has(pair: Pair) -> None:
    it, _a, _b = pair
    before = workers(it)
    it.run("backend", "drain", "a")
    assert [it.chat().json()["choices"][0]["message"]["content"] for _ in range(6)] == ["b"] * 6
    assert it.backend("a")["drained"]
    it.run("backend", "undrain", "a")
    assert not it.backend("a")["drained"]
    time.sleep(1)  # the control plane has looked at the database twice
    assert not it.backend("a")["drained"]
    # At once, or when its slow start is over, if it missed probes on a busy machine.
    until(lambda: it.chat().json()["choices"][0]["message"]["content"] == "a")
    assert workers(it) == before


@pytest.mark.long
def test_the_old_keys_file_is_followed_as_it_changes(pair: Pair) -> None:
    it, a, _ = pair
    it.write(f"backends: {{ a: {a.url} }}\nauth: {{ keys_file: api_keys.conf }}")
    it.run("reload")
    file = it.folder / "api_keys.conf"
    file.write_text('# ours\n"Bearer old-key"   1;\n')
    until(lambda: it.get("/v1/models", key="old-key").status_code == 200)
    file.write_text('"Bearer other" 1;\n"Bearer old-key" 0;\n')
    until(lambda: it.get("/v1/models", key="old-key").status_code == 401)
    file.write_text("what is this\n")
    time.sleep(1.2)
    assert it.get("/v1/models", key="other").status_code == 200, "a broken file changes nothing"


def test_imported_keys_work_and_are_kept_as_hashes_only(pair: Pair) -> None:
    it, _, _ = pair
    file = it.folder / "legacy.conf"
    file.write_text('map $http_authorization $ok {\n default 0;\n "Bearer legacy-1" 1; # bob\n}\n')
    assert "1 key imported" in it.run("keys", "import", str(file)).stdout
    assert it.get("/v1/models", key="legacy-1").status_code == 200
    stored = [path for path in (it.home / "state").iterdir() if path.is_file()]
    assert all(b"legacy-1" not in path.read_bytes() for path in stored)


@pytest.mark.long
def test_a_model_that_appears_is_served_and_one_that_vanishes_is_not(
    engine: str, start: Callable[..., Any]
) -> None:
    a = start(scripted, engine="ollama", models=("one",))
    it = start(gateway, engine, f"backends: {{ gpu1: {a.url} }}")
    assert it.chat("one").status_code == 200
    assert it.chat("two").status_code == 404
    a.set_models("two")
    until(lambda: it.chat("two").status_code == 200)
    assert it.chat("one").status_code == 404


@pytest.mark.long
def test_without_required_keys_any_key_or_none_will_do(pair: Pair) -> None:
    it, a, _ = pair
    it.write(f"backends: {{ a: {{ url: {a.url}, models: [m] }} }}\nauth: {{ required: false }}")
    it.run("reload")
    assert httpx.post(it.url + "/v1/chat/completions", json={"model": "m"}).status_code == 200
    assert it.chat(key="sk-anything").status_code == 200


@pytest.mark.long
def test_without_required_keys_pages_of_other_sites_are_refused(pair: Pair) -> None:
    it, a, _ = pair
    it.write(
        f"backends: {{ a: {{ url: {a.url}, models: [m] }} }}\nauth: {{ required: false }}\n"
        f"access: {{ origins: [https://chat.example.com, app://notes] }}\n"
        f"services: {{ web: {{ url: {a.url}, path: /web/, auth: none }} }}\n"
    )
    it.run("reload")
    web = httpx.Client(base_url=it.url)

    def statuses(origin: str) -> set[int]:
        """Of what a page may send without asking first (https://fetch.spec.whatwg.org/#cors)."""
        sent = {"Origin": origin, "Content-Type": "text/plain"}
        chat = web.post("/v1/chat/completions", content=b'{"model": "m"}', headers=sent)
        upgrade = {"Origin": origin, "Upgrade": "websocket", "Connection": "upgrade"}
        return {
            chat.status_code,
            web.get("/v1/models", headers=sent).status_code,
            web.get("/web/version", headers=upgrade).status_code,
        }

    for origin in (
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example/localhost",
        "http://notlocalhost",
        "http://localhost:1@evil.example",
        "https://chat.example.com.evil.example",
        "https://chat.example.com:8443",
        "http://chat.example.com",
        "chrome-extension://abc",
    ):
        assert statuses(origin) == {403}, origin
    refused = web.get("/v1/models", headers={"Origin": "https://evil.example"}).json()
    assert refused["error"]["code"] == "origin_not_allowed"
    for origin in (
        "http://localhost:3000",
        "https://localhost",
        "http://127.0.0.1:8080",
        "http://[::1]:5173",
        "http://chat.localhost",
        "https://chat.example.com",
        "app://notes",
    ):
        assert statuses(origin) == {200}, origin


def test_with_required_keys_a_page_s_origin_is_its_own_business(pair: Pair) -> None:
    it = pair[0]
    headers = {**it.headers(), "Origin": "https://elsewhere.example"}
    assert httpx.get(it.url + "/v1/models", headers=headers).status_code == 200
