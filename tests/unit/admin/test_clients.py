"""What programs are told is good in their own formats, and the same on the page and in a shell."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infergate.admin.clients import CLIENTS, settings
from tests.gateway import run_here

URL, KEY, MODEL = "http://127.0.0.1:8080", "sk-ig-x", "qwen-2.5"


@pytest.mark.parametrize("name", CLIENTS)
def test_nothing_is_left_to_be_filled_in(name: str) -> None:
    told = settings(CLIENTS[name], URL, KEY, MODEL)
    everything = told.where + told.text + told.note
    for word in (URL, KEY):
        assert word in everything, word
    for left in ("{url}", "{key}", "{model}"):
        assert left not in everything


def test_each_text_is_what_its_program_reads() -> None:
    for name in ("openai", "langchain"):
        ast.parse(settings(CLIENTS[name], URL, KEY, MODEL).text)
    codex = tomllib.loads(settings(CLIENTS["codex"], URL, KEY, MODEL).text)
    assert codex["model_providers"]["infergate"]["base_url"] == URL + "/v1"
    told = YAML(typ="safe").load(settings(CLIENTS["continue"], URL, KEY, MODEL).text)
    assert told["models"][0]["apiBase"] == URL + "/v1"


def test_the_command_line_prints_the_same(tmp_path: Path) -> None:
    file = tmp_path / "infergate.yaml"
    file.write_text(
        "backends: { a: http://127.0.0.1:9 }\nmodels: { bge-m3: [a], m: [a] }\nlisten: 8080\n"
    )
    environ = {"INFERGATE_HOME": str(tmp_path / "home")}
    command = ["connect", "aider", "--key", KEY, "--json", "-c", str(file)]
    ran = run_here(command, environ)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["text"] == settings(CLIENTS["aider"], URL, KEY, "m").text
    wrong = run_here(["connect", "aidr", "-c", str(file)], environ)
    assert wrong.returncode == 2
    assert "did you mean 'aider'?" in wrong.stderr
    assert "open-webui" in run_here(["connect"], environ).stdout
    listed = json.loads(run_here(["connect", "--json"], environ).stdout)["items"]
    assert [each["name"] for each in listed] == list(CLIENTS)
