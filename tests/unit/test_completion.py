"""A shell completes commands, options, and names of the gateway that the line is for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin_api import Served, served
from tests.gateway import run_here

CONFIG = """\
backends: { gpu1: http://127.0.0.1:9, gpu2: http://127.0.0.1:9, other: http://127.0.0.1:9 }
models: { "qwen3:8b": { backends: [gpu1] }, "qwen3:32b": { backends: [gpu1] }, phi: { backends: [gpu2] } }
listen: { http: 8080, hosts: [api.lan] }
"""  # noqa: E501


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as made, served(Path(made), CONFIG) as it:
        folder = it.gateway.home.root
        program = folder / "infergate"
        program.write_text(f"#!{sys.executable}\nfrom infergate.__main__ import start\nstart()\n")
        program.chmod(0o755)
        run_here(["keys", "create", "alice", "-c", f"{folder}/infergate.yaml"], _environ(it))
        yield it


def _environ(api: Served) -> dict[str, str]:
    return {"INFERGATE_HOME": str(api.gateway.home.root)}


def completed(api: Served, line: str, *, here: bool = True) -> list[str]:
    """What bash offers behind a line, of a program that is called infergate."""
    folder = api.gateway.home.root
    script = folder / "completion.bash"
    script.write_text(run_here(["completion", "bash"], {}).stdout)
    asks = (
        f"source {script}; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}};"
        ' _infergate_completion infergate; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environ = {**os.environ, **_environ(api), "PATH": f"{folder}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "--norc", "-c", asks],
        capture_output=True, text=True, check=True, cwd=folder if here else "/",
        env={**environ, "INFERGATE_TOKEN": api.read},
    )  # fmt: skip
    return ran.stdout.split()


def test_commands_and_options_are_completed(api: Served) -> None:
    assert completed(api, "infergate sta") == ["status"]
    assert completed(api, "infergate backend un") == ["undrain"]
    assert "--json" in completed(api, "infergate status --")


def test_names_of_backends_keys_and_models_are_completed(api: Served) -> None:
    assert completed(api, "infergate backend drain gpu") == ["gpu1", "gpu2"]
    assert completed(api, "infergate keys revoke al") == ["alice"]
    assert sorted(completed(api, "infergate logs --model q")) == ["qwen3:32b", "qwen3:8b"]


def test_what_stands_before_a_colon_is_not_said_twice_in_bash(api: Served) -> None:
    assert completed(api, "infergate logs --model qwen3:3") == ["32b"]


def test_names_of_a_gateway_elsewhere_are_completed(api: Served) -> None:
    line = f"infergate --url {api.url} backend drain o"
    assert completed(api, line, here=False) == ["other"]


def test_where_nothing_can_be_asked_nothing_is_offered_and_nothing_said(api: Served) -> None:
    assert completed(api, "infergate --url http://127.0.0.1:1 backend drain g") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_it_understands(shell: str, tmp_path: Path) -> None:
    ran = run_here(["completion", shell], {})
    assert (ran.returncode, "_INFERGATE_COMPLETE" in ran.stdout) == (0, True)
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(ran.stdout)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


@pytest.mark.parametrize(
    ("shell", "more"), [("zsh", {}), ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"})]
)
def test_zsh_and_fish_are_answered_as_their_scripts_ask(
    shell: str, more: dict[str, str], api: Served
) -> None:
    asked = {
        **os.environ, **_environ(api), **more, "_INFERGATE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "infergate backend drain gpu",
    }  # fmt: skip
    ran = subprocess.run(
        [api.gateway.home.root / "infergate"], env=asked, cwd=api.gateway.home.root,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "gpu1" in ran.stdout
    assert "other" not in ran.stdout
