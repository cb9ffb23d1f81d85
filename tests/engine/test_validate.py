"""`infergate validate`: green at a gateway that is well, red with the reason where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from tests.backends.qdrant_double import API_KEY, qdrant_double
from tests.backends.servers import Scripted, scripted
from tests.backends.web_service import WebService, web_service
from tests.cache import SUITE, TRIXIE
from tests.gateway import Gateway, gateway, until


@dataclass
class Installed:
    it: Gateway
    chat: Scripted
    embed: Scripted
    web: WebService

    def validate(self, *words: str, code: int | None = 0) -> dict[str, dict[str, str]]:
        """The results by `suite.name`. code: None where the results tell it."""
        ran = self.it.run("validate", *words, "--json", check=False)
        if code is None:
            code = int('"failed"' in ran.stdout)
        assert ran.returncode == code, ran.stdout + ran.stderr
        return {f"{each['suite']}.{each['name']}": each for each in json.loads(ran.stdout)}


@pytest.fixture(scope="module")
def installed(engine: str) -> Iterator[Installed]:
    with (
        scripted("vllm", models=["qwen3"]) as chat,
        scripted("vllm", models=["bge-m3"]) as embed,
        qdrant_double() as qdrant,
        web_service() as web,
    ):
        config = f"""
backends: {{ gpu1: {chat.url}, gpu2: {embed.url} }}
health: {{ interval: 200ms, timeout: 500ms, rise: 1, fall: 1 }}
retries: {{ attempts: 1 }}
services:
  qdrant: {{ url: {qdrant}, path: /qdrant/, api_key: {API_KEY} }}
  web: {{ url: {web.url}, host: web.test }}
"""
        with gateway(engine, config) as it:
            until(lambda: all(each["state"] == "up" for each in it.status()["services"]))
            yield Installed(it, chat, embed, web)


def test_each_backend_and_service_is_driven_and_the_key_for_it_ends(installed: Installed) -> None:
    found = installed.validate("acceptance")
    assert {name for name, each in found.items() if each["outcome"] == "passed"} == {
        "acceptance.models",
        "acceptance.model.qwen3.chat",
        "acceptance.model.qwen3.stream",
        "acceptance.model.bge-m3.embedding",
        "acceptance.backend.gpu1",
        "acceptance.backend.gpu2",
        "acceptance.service.qdrant",
        "acceptance.service.web",
    }
    assert "the nearest one found" in found["acceptance.service.qdrant"]["said"]
    keys = json.loads(installed.it.run("keys", "list", "--json").stdout)
    assert not [each for each in keys if each["name"].startswith("validate-")]


def test_health_and_security_are_green_and_security_has_tried_it(installed: Installed) -> None:
    health = installed.validate("health")
    assert {each["outcome"] for each in health.values()} == {"passed"}
    assert "health.backend.gpu2" in health
    installed.it.file.chmod(0o600)
    security = installed.validate("security", code=None)
    red = [name for name, each in security.items() if each["outcome"] == "failed"]
    # The embedded nginx has holes, which is what it says; so may Debian's next one.
    if installed.it.engine == "embedded" or SUITE == TRIXIE:
        assert bool(red) == (installed.it.engine == "embedded")
    assert all(name.startswith("security.audit.engine.CVE-") for name in red)
    for name in ("without_key.POST", "wrong_key.GET", "admin.listener", "service.qdrant"):
        assert security[f"security.{name}"]["outcome"] == "passed", security
    assert security["security.tls.versions"]["outcome"] == "skipped"


def test_a_backend_that_answers_its_health_check_and_no_question_is_red_with_the_reason(
    installed: Installed,
) -> None:
    installed.embed.behave(status=500, body="out of memory", path_prefix="/v1/embeddings")
    try:
        found = installed.validate("acceptance", code=1)
        assert "out of memory" in found["acceptance.backend.gpu2"]["said"]
        assert found["acceptance.model.bge-m3.embedding"]["outcome"] == "failed"
        assert found["acceptance.backend.gpu1"]["outcome"] == "passed"
        assert installed.validate("load", "--model", "bge-m3", "--for", "0.2s", code=1)
    finally:
        installed.embed.behave()
        installed.it.forget_failures()


def test_a_backend_that_is_down_is_red_in_health_with_the_reason(installed: Installed) -> None:
    installed.chat.behave(status=503, body="loading", path_prefix="/health")
    try:
        until(lambda: installed.it.backend("gpu1")["state"] == "down")
        found = installed.validate("health", code=1)
        assert "503" in found["health.backend.gpu1"]["said"]
    finally:
        installed.chat.behave()
        until(lambda: installed.it.backend("gpu1")["state"] == "up")


def test_a_broken_stream_and_a_lame_service_are_red(installed: Installed) -> None:
    installed.chat.behave(die="mid_stream", path_prefix="/v1/chat/completions")
    try:
        found = installed.validate("acceptance", code=1)
        assert found["acceptance.model.qwen3.stream"]["outcome"] == "failed"
    finally:
        installed.chat.behave()
        installed.it.forget_failures()


def test_a_load_is_measured_drawn_and_told_to_ci(installed: Installed) -> None:
    svg, xml = installed.it.folder / "load.svg", installed.it.folder / "results.xml"
    ran = installed.it.run(
        *("validate", "load", "health", "--for", "0.5s", "--clients", "2"),
        *("--plot", str(svg), "--junit", str(xml)),
    )
    for word in ("requests/s", "first token p50", "p99", "ms of CPU each", "slowest"):
        assert word in ran.stdout
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    suites = ElementTree.parse(xml).getroot()
    assert {each.get("name") for each in suites} == {"load", "health"}
    assert suites.get("failures") == "0"
    assert all(each.get("classname") for each in suites.iter("testcase"))


def test_what_is_no_suite_and_a_gateway_that_is_down_are_told(installed: Installed) -> None:
    assert "health, security" in installed.it.run("validate", "x", check=False).stderr
    down = Gateway(installed.it.engine, "backends: { a: http://127.0.0.1:9 }\n")
    try:
        assert down.run("validate", "load", check=False).returncode == 2
        ran = down.run("validate", "health", check=False)
        assert ran.returncode == 1
        assert "does not run" in ran.stdout
    finally:
        down.remove()
