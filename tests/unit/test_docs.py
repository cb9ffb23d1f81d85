"""What README and docs/ print is so: configurations load, commands and links exist.

That the commands do what is said: tests/engine/test_docs.py.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crossplane
import pytest
import typer.main
from ruamel.yaml import YAML

from infergate.cli import app
from infergate.config.root import Config
from infergate.engine.find import find_debian
from infergate.live import apply
from infergate.nginx import worker_user
from tests.backends.private_ca import PrivateCa
from tests.cache import ENGINES_HOME
from tests.gateway import run_here
from tests.pages import (
    DOCS,
    PAGES,
    ROOT,
    Block,
    all_blocks,
    anchors,
    blocks,
    commands_in_text,
    lines,
    links,
)
from tests.pages_run import ELSEWHERE
from tests.pages_run import PAGES as RUN
from tests.reaper import folder_prefix

COMMAND_LINE = typer.main.get_command(app)
KINDS = {"", "console", "json", "nginx", "python", "sh", "yaml"}
"""`sh` is typed; `console` is typed behind `$` and says what is printed; `python`
is run by a test of its page; "" is a picture."""

HASH = "$6$rounds=5000$saltsalt$" + "a" * 86
FILES = {
    "api_keys.conf": '"Bearer a" 1; # alice\n',
    "backends.json": '["http://10.0.0.5:8000"]',
    "set-txt.sh": "#!/bin/sh\n",
    "users": f"alice:{HASH}\n",
}
"""Files that configurations name, beside them."""
ENVIRON = {"QDRANT_KEY": "a", "ALICE_HASH": HASH, "STORE_PASSWORD": "a", "SERVE_KEY": "a"}
LEFT_OUT = "sha256:" + "0" * 64
"""For `sha256:…`: what a reader fills in."""


def _place(block: Block) -> str:
    return block.place


def test_every_block_says_what_it_is() -> None:
    assert not [each.place for each in all_blocks(*(_kinds() - KINDS))]


def _kinds() -> set[str]:
    return {found for page in PAGES for found in re.findall(r"(?m)^ *```(\w+)$", page.read_text())}


def whole(block: Block) -> dict[str, Any]:
    """A block as a configuration: a fragment, that has no backends, gets those that it names."""
    data = YAML(typ="safe").load(block.text.replace("sha256:…", LEFT_OUT))
    assert set(data) <= set(Config.model_fields), set(data) - set(Config.model_fields)
    if "backends" not in data:
        models = [each for each in data.get("models", {}).values() if isinstance(each, dict)]
        named = {name for each in models for name in each.get("backends", [])} or {"gpu1"}
        data["backends"] = dict.fromkeys(sorted(named), "http://127.0.0.1:11434")
    return data


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """With the files that configurations name; open to nginx's workers."""
    with tempfile.TemporaryDirectory(prefix=folder_prefix()) as made:
        for name, content in FILES.items():
            (Path(made) / name).write_text(content)
        PrivateCa(Path(made), "staff-ca")
        for each in (Path(made), Path(made) / "set-txt.sh"):
            each.chmod(0o755)
        (Path(made) / "home").mkdir()
        if (ENGINES_HOME / "engines").exists():
            (Path(made) / "home" / "engines").symlink_to(ENGINES_HOME / "engines")
        yield Path(made)


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=_place)
def test_a_configuration_that_is_shown_is_one(
    block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without nginx's own word, which takes four times as long as all else; it is asked below."""
    monkeypatch.setattr(apply, "tested", lambda engine, folder, home: contextlib.nullcontext())
    _check(block, folder)


@pytest.mark.long
@pytest.mark.parametrize("block", all_blocks("yaml"), ids=_place)
def test_nginx_takes_a_configuration_that_is_shown(block: Block, folder: Path) -> None:
    _check(block, folder)


def _check(block: Block, folder: Path) -> None:
    config = {**whole(block), "engine": "auto"}  # another one is not on every machine
    if "waf" in config and not find_debian(ENGINES_HOME):
        pytest.skip("needs ModSecurity, which Debian's engine has; `make test` brings it")
    (folder / "infergate.yaml").write_text(json.dumps(config, default=str))
    command = ["check", "-c", str(folder / "infergate.yaml")]
    with pytest.MonkeyPatch.context() as changed:  # the Python of the tests may be root's own
        changed.setattr(worker_user, "PYTHON", Path("/usr/bin/env"))
        ran = run_here(command, {"INFERGATE_HOME": str(folder / "home"), **ENVIRON})
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("block", all_blocks("json"), ids=_place)
def test_json_that_is_shown_is_json(block: Block) -> None:
    json.loads(block.text.replace(", …", ""))  # what is left out


@pytest.mark.parametrize("block", all_blocks("nginx"), ids=_place)
def test_nginx_files_that_are_shown_can_be_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "shown.conf").write_text(block.text)
    read = crossplane.parse(str(tmp_path / "shown.conf"), single=True, check_ctx=False)
    assert [each["error"] for each in read["errors"]] == []


COMMANDS = [(block.place, line) for block in all_blocks("sh", "console") for line in lines(block)]


def ours(line: str) -> list[str] | None:
    """The arguments of an `infergate` that stands in a line, wherever; None without one."""
    words = shlex.split(re.sub(r"\$\([^)]*\)", "X", line))
    at = next((i for i, word in enumerate(words) if word.rpartition("/")[2] == "infergate"), None)
    if at is None:
        return None
    end = next((i for i, word in enumerate(words) if i > at and word in ("|", ">", "&&")), None)
    return words[at + 1 : end]


@pytest.mark.parametrize(
    ("place", "line"), [each for each in COMMANDS if "infergate " in each[1]], ids=str
)
def test_a_command_that_is_shown_is_one(place: str, line: str) -> None:
    arguments = ours(line)
    if arguments is not None:
        _read(arguments)


def _read(arguments: list[str]) -> None:
    """As the command line reads it; raises UsageError where there is no such command or option."""
    command: Any = COMMAND_LINE
    context: Any = None
    name: str | None = "infergate"
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        arguments = [*context._protected_args, *context.args]
        if not (hasattr(command, "commands") and arguments):
            return
        name, command, arguments = command.resolve_command(context, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_exist(page: Path) -> None:
    for typed in commands_in_text(page):
        _look_up(typed)


def _look_up(typed: str) -> None:
    """Whether its words are commands, as far as they can be, and its options are theirs."""
    command: Any = COMMAND_LINE
    options = {"--help": False, **_options(command)}
    is_value = False  # of the option before it
    for word in typed.partition("infergate ")[2].replace("[", "").replace("]", "").split():
        if word.startswith("-"):
            name, _, value = word.partition("=")
            assert name.rstrip(",") in options, f"{typed}: {word}"
            is_value = options[name.rstrip(",")] and not value
        elif is_value:
            is_value = False
        elif word != word.upper() and hasattr(command, "commands"):
            assert word in command.commands, f"{typed}: {word}"
            command = command.commands[word]
            options |= _options(command)


def _options(command: Any) -> dict[str, bool]:
    """Each with whether a value follows."""
    return {
        each: not getattr(param, "is_flag", False)
        for param in command.params
        for each in (*param.opts, *param.secondary_opts)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?:|mailto:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_found_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    for page in [page for page in PAGES if page.parent == DOCS]:
        linked |= {(DOCS / link.partition("#")[0]).resolve() for link in links(page)}
    assert not [page.name for page in PAGES if page.parent == DOCS and page.resolve() not in linked]


def test_every_page_with_commands_is_run_or_says_why_not() -> None:
    with_commands = {
        page.stem
        for page in PAGES
        if page.parent != DOCS / "decisions"
        and page.name != "README.md"
        and any(block.kind in ("sh", "console") for block in blocks(page))
    }
    assert with_commands == {*RUN, *(Path(page).stem for page in ELSEWHERE)}
