"""The list of commands, and what needs no gateway."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main

from infergate.cli import app, banner
from infergate.cli.sections import SECTIONS
from infergate.config.load import parse_config
from infergate.control.report import BackendReport, Report
from infergate.paths import Home
from infergate.supervise import notify
from tests.gateway import Ran, run_here


def test_every_command_is_in_one_section() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


SENTENCES = {
    *("up", "down", "apply", "reload", "rollback", "deploy", "backup", "restore", "migrate"),
    *("import", "keys restore", "teams create", "teams set", "teams remove", "policies set"),
    *("policies remove", "backend drain", "backend undrain", "cache purge", "cert issue"),
    *("cert renew", "engine install", "engine upgrade", "admin token revoke", "bans add"),
    "batches cancel",
    *("bans remove", "bans fail2ban"),
}
"""Commands that do something, and say that it is done: their exit code is what a script reads."""

FILES = {
    *("render", "schema", "completion", "keys first", "keys export", "cert ca"),
    *("logs schema", "logs pipeline", "metrics rules", "metrics dashboards"),
}
"""Commands that print one thing that has a form of its own, or write files."""


def _commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(each, f"{path} {name}".strip())
        if not hasattr(each, "commands") or getattr(each, "invoke_without_command", False):
            yield f"{path} {name}".strip(), each


def test_every_command_that_prints_data_prints_json_too() -> None:
    found = {
        name: any("--json" in each.opts for each in command.params)
        for name, command in _commands(typer.main.get_command(app))
    }
    assert {name for name, has_json in found.items() if not has_json} == SENTENCES | FILES


def test_the_version_is_told_as_programs_tell_it() -> None:
    told = [run_here([each], {}) for each in ("--version", "version")]
    assert {each.returncode for each in told} == {0}
    assert told[0].stdout == told[1].stdout
    assert told[0].stdout.startswith("infergate ")
    said = json.loads(run_here(["version", "--json"], {}).stdout)
    assert told[0].stdout == f"infergate {said['infergate']}\n"


def test_the_first_key_is_shown_once_where_a_log_could_not_have_it(tmp_path: Path) -> None:
    (tmp_path / "infergate.yaml").write_text("backends: { a: http://127.0.0.1:1 }\n")
    home = Home(tmp_path / "home")
    home.state.mkdir(parents=True)
    environ = {"INFERGATE_HOME": str(home.root)}
    command = ["keys", "first", "-c", str(tmp_path / "infergate.yaml")]
    assert "there is none to show" in run_here(command, environ).stderr
    home.first_key.write_text("ig-secret")
    assert run_here(command, environ).stdout == "ig-secret\n"
    assert run_here(command, environ).returncode == 2


@pytest.mark.parametrize("kept", [True, False])
def test_no_log_that_is_kept_has_the_first_key(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = parse_config("backends: { a: http://127.0.0.1:1 }\n", tmp_path / "infergate.yaml", {})
    home = Home(tmp_path)
    home.state.mkdir()
    monkeypatch.setattr(banner, "is_kept", lambda _stream: kept)
    monkeypatch.setattr(banner, "_first_key", lambda *_: ("ig-secret", None))
    engine: Any = type(
        "Engine", (), {"nginx_version": (1,), "njs_version": (1,), "origin": "debian"}
    )
    with redirect_stdout(io.StringIO()) as said:
        banner.announce(loaded, home, engine, demo=False)
    assert ("ig-secret" in said.getvalue()) is not kept
    assert ("infergate keys first" in said.getvalue()) is kept
    assert home.first_key.exists() is kept
    if kept:
        assert home.first_key.read_text() == "ig-secret"
        assert home.first_key.stat().st_mode & 0o777 == 0o600
    # No model is known yet: the line that is printed answers all the same.
    assert "MODEL" not in said.getvalue()
    assert "/v1/models" in said.getvalue()


def test_many_backends_are_counted_at_the_start_and_not_listed() -> None:
    def report(count: int) -> Report:
        backend = BackendReport("a", "http://a", "up", "", 0, *[None] * 2, (), *[None] * 7)
        return Report(0, True, (backend,) * (count - 1) + (replace(backend, state="down"),), (), ())

    assert len(banner._backend_lines(report(20), demo=False)) == 20
    (line,) = banner._backend_lines(report(1000), demo=False)
    assert "999 up, 1 down" in line


def test_all_but_a_terminal_that_somebody_looks_at_may_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = os.openpty()
    reads, writes = os.pipe()
    try:
        with os.fdopen(slave, "w") as terminal, os.fdopen(writes, "w") as pipe:
            monkeypatch.setattr(notify, "_FIRST_PROCESS_SAYS", os.devnull)
            assert not notify.is_kept(terminal)
            assert notify.is_kept(pipe), "a journal's, a container's or another program's"
            with (tmp_path / "up.log").open("w") as file:
                assert notify.is_kept(file)
            # A container's first process with a terminal, as `docker run --tty` has it.
            monkeypatch.setattr(notify, "_FIRST_PROCESS_SAYS", os.ttyname(terminal.fileno()))
            assert notify.is_kept(terminal)
            # Where process 1 is somebody else's, as for anyone but root.
            monkeypatch.setattr(notify, "_FIRST_PROCESS_SAYS", str(tmp_path / "none"))
            for inside in (True, False):
                monkeypatch.setattr(notify, "in_container", lambda: inside)  # noqa: B023
                assert notify.is_kept(terminal) is inside
    finally:
        os.close(master)
        os.close(reads)


def test_what_is_granted_and_not_there_is_told_and_the_audit_log_fits_a_terminal(
    tmp_path: Path,
) -> None:
    (tmp_path / "infergate.yaml").write_text(
        "backends: { a: http://127.0.0.1:1 }\nmodels: { m: [a] }\n"
    )
    environ = {"INFERGATE_HOME": str(tmp_path / "home"), "COLUMNS": "60"}

    def run(*command: str) -> Ran:
        ran = run_here([*command, "-c", str(tmp_path / "infergate.yaml")], environ)
        assert ran.returncode == 0, ran.stderr
        return ran

    granted = ("--models", "m,mm", "--services", "n8n,*", "--guardrails", "house")
    for command in (("keys", "create", "a"), ("keys", "set", "a"), ("policies", "set", "p")):
        said = run(*command, *granted).stderr
        assert "nobody serves 'mm' now" in said
        assert "no service is called 'n8n'" in said
        assert "no guardrail is called 'house'" in said
    assert "warning" not in run("keys", "set", "a", "--rpm", "7").stderr
    log = run("audit", "log").stdout
    assert max(map(len, log.splitlines())) <= 60
    assert 'services: ["n8n", "*"]' in " ".join(log.split())


def test_of_a_gateway_that_is_down_no_model_is_called_ready(tmp_path: Path) -> None:
    file = tmp_path / "infergate.yaml"
    file.write_text("backends: { a: http://127.0.0.1:9 }\nmodels: { m: [a] }\n")
    environ = {"INFERGATE_HOME": str(tmp_path / "home")}
    ran = run_here(["ready", "-c", str(file)], environ)
    assert (ran.returncode, ran.stdout) == (
        1,
        "Infergate is not running. `infergate up` starts it.\n",
    )
