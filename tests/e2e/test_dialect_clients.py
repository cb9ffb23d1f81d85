"""Clients of other dialects, unmodified, through translation: the official ones of JavaScript and
Vercel's AI SDK, LangChain, aider, and Claude Code.

Where a native engine can do the same, the same script is run there, and says the same. The tiny
model of llama.cpp has no eyes, and no template of which its grammar could make it call tools: there
the scripted backend is the engine.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.backends.cache import CACHE, python_of
from tests.backends.servers import Server, available, scripted
from tests.e2e.conftest import Front
from tests.gateway import Gateway, gateway, until

BOTH = ("native", "translated")
NO_WAY_OUT = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
"""Whatever a program wants of the rest of the world is refused at once."""

PATIENT_S = 600


@pytest.fixture(scope="module")
def front(llama: Server) -> Iterator[Front]:
    """`translated` is llama.cpp, said to have chat completions alone; `scripted` is the double."""
    with scripted("openai", name="double", models=["scripted"]) as double:
        config = f"""
backends:
  native: {{ url: {llama.url}, engine: llamacpp }}
  chat: {{ url: {llama.url}, engine: tgi }}
  double: {{ url: {double.url}, engine: tgi }}
models:
  native: {{ backends: [native], upstream_name: tiny-llama }}
  translated: {{ backends: [chat], upstream_name: tiny-llama }}
  scripted: [double]
api: {{}}
"""
        with gateway("embedded", config, forked=True) as it:
            until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
            yield Front(it)


def run(command: Sequence[str], folder: Path, **environ: str) -> str:
    ran = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **NO_WAY_OUT, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENT_S,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout


def in_javascript(it: Gateway, model: str, folder: Path) -> dict[str, Any]:
    """What each step of dialect_clients.mjs came to."""
    if reason := available("dialects"):
        pytest.skip(reason)
    home = CACHE / "dialects"
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(home / "node_modules")
    shutil.copy(Path(__file__).with_name("dialect_clients.mjs"), folder)
    node = str(home / "bin" / "node")
    told = run([node, "dialect_clients.mjs", it.url, it.key, model], folder)
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


STEPS = {
    "message": "text",
    "message stream": [True, True, True],
    "tool": ["weather", "string"],
    "tool stream": ["weather", "string"],
    "tool result": "text",
    "count": True,
    "unknown": ["NotFoundError", 404],
    "wrong": ["BadRequestError", 400],
    "cancel": "ended",
    "response": True,
    "response stream": [True, True],
    "response tool": ["weather", "string"],
    "response unknown": ["NotFoundError", 404],
    **{
        f"ai {name}{step}": said
        for name in ("anthropic", "openai")
        for step, said in (
            ("", True),
            (" stream", [True, True]),
            (" tool", ["weather", "string"]),
            (" image", True),
        )
    },
}


NEVER = re.compile("(?!)")
CANNOT = {
    # llama.cpp takes a text for the messages, and the official client's own helper gives up on its
    # events of /v1/responses.
    "native": re.compile("tool|image|wrong|response stream"),
    "translated": re.compile("tool|image"),
}
"""Steps that an engine, or its tiny model, is not up to."""


@pytest.mark.parametrize("model", [*BOTH, "scripted"])
def test_the_clients_of_javascript(front: Front, tmp_path: Path, model: str) -> None:
    told = in_javascript(front.gateway, model, tmp_path)
    wanted = [step for step in STEPS if not CANNOT.get(model, NEVER).search(step)]
    assert {step: told[step] for step in wanted} == {step: STEPS[step] for step in wanted}


@tool
def weather(town: str) -> str:
    """Of a town."""
    return f"sunny in {town}"


@pytest.mark.parametrize("model", [*BOTH, "scripted"])
def test_langchain_with_responses(front: Front, model: str) -> None:
    chat = ChatOpenAI(
        model=model,
        base_url=front.base_url,
        api_key=front.key,  # type: ignore[arg-type]
        use_responses_api=True,
        max_retries=0,
        max_tokens=60,  # type: ignore[call-arg]
    )
    whole = chat.invoke("hello")
    assert whole.text
    assert whole.usage_metadata is not None
    assert len([each for each in chat.stream("hello") if each.text]) > 1
    if model not in BOTH:
        forced = chat.bind_tools([weather], tool_choice="required")
        [call] = forced.invoke('call weather {"town": "Rome"}').tool_calls
        assert (call["name"], call["args"]) == ("weather", {"town": "Rome"})


def test_claude_code_looks_into_a_file_and_tells(front: Front, tmp_path: Path) -> None:
    """Its own request, of tens of kilobytes and many tools, and the tool's real result."""
    if reason := available("dialects"):
        pytest.skip(reason)
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    program = CACHE / f"dialects/node_modules/@anthropic-ai/claude-code-linux-{machine}/claude"
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "secret.txt").write_text("the word is plum\n")
    it = front.gateway
    names = ("MODEL", "SMALL_FAST_MODEL", "DEFAULT_HAIKU_MODEL", "DEFAULT_SONNET_MODEL")
    quiet = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY")
    prompt = 'call Bash {"command": "cat secret.txt", "description": "Reads"}'
    command = [str(program), "-p", prompt, "--allowedTools", "Bash", "--output-format", "json"]
    before = len(it.log())
    told = run(
        [*command, "--max-turns", "4"],
        tmp_path / "work",
        ANTHROPIC_BASE_URL=it.url,
        ANTHROPIC_AUTH_TOKEN=it.key,
        IS_SANDBOX="1",
        **{f"ANTHROPIC_{name}": "scripted" for name in names},
        **dict.fromkeys(quiet, "1"),
    )
    found = json.loads(told)
    assert (found["is_error"], found["num_turns"]) == (False, 2)
    assert "the word is plum" in found["result"]
    asked = [each for each in it.log()[before:] if each["uri"] == "/v1/messages"]
    assert [(each["status"], each["tier"]) for each in asked] == [(200, "dialect")] * 2


@pytest.mark.parametrize("model", BOTH)
def test_aider_as_a_client_of_anthropic(front: Front, tmp_path: Path, model: str) -> None:
    if reason := available("aider"):
        pytest.skip(reason)
    settings = tmp_path / "settings.yml"
    settings.write_text(f"- name: anthropic/{model}\n  extra_params: {{ max_tokens: 20 }}\n")
    it = front.gateway
    options = "--no-git --no-check-update --no-show-model-warnings --no-pretty --no-analytics"
    command = [str(python_of("aider")), "-m", "aider", "--model", f"anthropic/{model}"]
    before = len(it.log())
    run(
        [
            *command,
            *options.split(),
            *("--yes-always", "--no-show-release-notes"),
            *("--model-settings-file", str(settings), "--message", "Say hello"),
        ],
        tmp_path,
        ANTHROPIC_API_KEY=it.key,
        ANTHROPIC_API_BASE=it.url,
        HF_HUB_OFFLINE="1",
    )
    asked = [each for each in it.log()[before:] if each["uri"] == "/v1/messages"]
    assert asked
    tier = {"native": None, "translated": "dialect"}[model]
    assert {(each["status"], each.get("tier")) for each in asked} == {(200, tier)}
