"""Each thing that can be wrong is found by its cause, with the cure."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infergate.doctor.backends import check_backends
from infergate.doctor.examine import examine, is_well
from infergate.hardening.check import Check, bad
from infergate.paths import Home
from tests.backends.private_ca import PrivateCa
from tests.backends.servers import free_port
from tests.gateway import run_here, until
from tests.unit.doctor.conftest import VLLM, about, config, engine, one

OLLAMA: Mapping[str, Any] = {
    "/api/version": {"version": "0.12"},
    "/api/tags": {"models": [{"name": "m:latest", "model": "m:latest"}]},
    "/api/ps": {"models": []},
    "/v1/models": {"object": "list", "data": [{"id": "m:latest", "owned_by": "library"}]},
}


def test_an_engine_that_answers_is_well() -> None:
    with engine(VLLM) as vllm, engine(OLLAMA) as ollama, engine(VLLM, key="right") as closed:
        found = list(
            check_backends(
                config(
                    {
                        "a": vllm + "/v1",
                        "b": {"url": ollama, "engine": "ollama"},
                        "c": {"url": closed, "api_key": "${KEY}"},
                    }
                )
            )
        )
    assert [each.outcome for each in found] == ["good"] * 4
    assert "(vLLM)" in found[0].what
    assert "(Ollama)" in found[1].what


@pytest.mark.parametrize("path", ["/openai", "/openai/v1", "/v1/engines/m"])
def test_a_path_too_many_is_found_and_the_right_url_told(path: str) -> None:
    with engine(VLLM) as url:
        found = one({"url": url + path})
    assert (found.outcome, found.severity) == ("bad", "high")
    assert "a path too many" in found.what
    assert found.mend == f"Write {url}"


def test_a_path_that_the_engine_wants_is_none_too_many() -> None:
    with engine(VLLM, prefix="/openai") as url:
        assert one({"url": url + "/openai/v1"}).outcome == "good"
        found = one({"url": url + "/openai/v1/more"})
    assert found.mend == f"Write {url}/openai"


def test_a_url_as_far_as_an_endpoint_is_told_while_it_stands_in_the_file(
    tmp_path: Path, home: Home
) -> None:
    path = tmp_path / "infergate.yaml"
    path.write_text("backends: { a: http://127.0.0.1:9/v1/chat/completions }\n")
    found = about("config", examine(path, home))
    assert (found.outcome, found.severity) == ("bad", "high")
    assert "infergate.yaml:1:16" in found.what
    assert "http://127.0.0.1:9" in found.what


def test_http_and_https_are_told_apart(tmp_path: Path) -> None:
    pair = PrivateCa(tmp_path).issue("localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    with engine(VLLM) as plain, engine(VLLM, tls=tls) as secure:
        wrong = plain.replace("http:", "https:")
        found = one({"url": wrong, "verify_tls": False})
        assert ("speaks http," in found.what, found.mend) == (True, f"Write {plain}")
        found = one({"url": secure.replace("https:", "http:")})
        assert ("speaks https," in found.what, found.mend) == (True, f"Write {secure}")
        found = one({"url": secure.replace("127.0.0.1", "localhost")})
        assert "not trusted" in found.what
        assert "verify_tls" in found.mend


def test_a_key_that_is_missing_or_refused_is_told() -> None:
    with engine(VLLM, key="right") as url:
        missing, refused = one({"url": url}), one({"url": url, "api_key": "${WRONG}"})
    assert "wants a key" in missing.what
    assert missing.mend == "Write `api_key: ${NAME}` under a."
    assert "refuses the key" in refused.what
    assert "wrong" not in refused.what + refused.mend


def test_the_key_goes_nowhere_but_where_the_file_says(tmp_path: Path) -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = listening.accept()
                    with caller:
                        caller.settimeout(5)
                        with contextlib.suppress(OSError):
                            seen.append(caller.recv(65536))

        threading.Thread(target=accept, daemon=True).start()
        url = f"https://localhost:{listening.getsockname()[1]}"
        assert one({"url": url, "api_key": "${KEY}"}).outcome == "bad"
        until(lambda: any(each.startswith(b"GET ") for each in seen))
    assert not [each for each in seen if b"right" in each]


def test_another_engine_than_the_file_says_is_told() -> None:
    with engine(OLLAMA) as url:
        found = one({"url": url, "engine": "vllm"})
    assert "the file says engine: vllm, and it is Ollama" in found.what
    assert "`engine: ollama`" in found.mend


def test_a_user_interface_and_a_redirect_are_no_engine() -> None:
    with engine({}, page="<html>Open WebUI</html>") as url:
        assert "web page" in one({"url": url}).what
    with engine({}, to="https://elsewhere.test/v1") as url:
        assert "redirect to https://elsewhere.test/v1" in one({"url": url}).what


def test_an_engine_without_a_model_is_told() -> None:
    with engine({**OLLAMA, "/api/tags": {"models": []}, "/v1/models": {"data": []}}) as url:
        found = one({"url": url, "engine": "ollama"})
    assert (found.severity, "ollama pull" in found.mend) == ("medium", True)


def test_one_thing_that_cannot_be_looked_at_hides_no_other(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Home) -> Iterator[Check]:
        raise PermissionError(13, "Permission denied", "/somewhere")
        yield

    monkeypatch.setattr("infergate.doctor.examine.check_disk", refused)
    path = tmp_path / "infergate.yaml"
    path.write_text(f"backends: {{ a: http://127.0.0.1:9 }}\nlisten: 127.0.0.1:{free_port()}\n")
    found = {each.name: each for each in examine(path, home, offline=True)}
    assert (found["disk"].outcome, "/somewhere" in found["disk"].what) == ("unknown", True)
    assert "ports" in found


def test_what_is_low_is_no_illness() -> None:
    assert is_well([bad("a", "low", "", "")])
    assert not is_well([bad("a", "medium", "", "")])


def test_the_command_ends_with_3_and_says_each_cure_in_80_columns(
    tmp_path: Path, home: Home
) -> None:
    path = tmp_path / "infergate.yaml"
    path.write_text(f"backends: {{ a: http://127.0.0.1:9 }}\nlisten: 127.0.0.1:{free_port()}\n")
    environ = {"INFERGATE_HOME": str(home.root)}
    ran = run_here(["doctor", "-c", str(path)], environ)
    assert ran.returncode == 3
    assert "→ infergate up" in ran.stdout
    assert "backend.a" in ran.stdout
    wide = [line for line in ran.stdout.splitlines() if len(line) > 80 and "/" not in line]
    assert wide == []
    ran = run_here(["doctor", "--offline", "--json", "-c", str(path)], environ)
    said = json.loads(ran.stdout)
    assert (ran.returncode, said["well"]) == (3, False)
    wrong = [each for each in said["checks"] if each["outcome"] == "bad"]
    assert {each["name"] for each in wrong} >= {"process.gateway"}
    assert [each for each in wrong if not each["mend"] or "\n" in each["mend"]] == []
    assert not any(each["name"].startswith("backend") for each in said["checks"])
