"""The command line of another machine says and does what it does here."""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.cli.grants import _options
from infergate.config.policies import Grant
from infergate.live.purge import service_folder
from tests.admin_api import CONFIG, Served, served
from tests.gateway import Ran, run_here


@pytest.fixture
def token_file(api: Served, tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(api.full + "\n")
    return path


def there(api: Served, token_file: Path, *command: str) -> Ran:
    elsewhere = ["--url", api.url, "--token-file", str(token_file)]
    return run_here([*elsewhere, *command], {"INFERGATE_HOME": "/nowhere", "COLUMNS": "80"})


def here(api: Served, *command: str) -> Ran:
    root = api.gateway.home.root
    return run_here([*command, "-c", str(root / "infergate.yaml")], {"INFERGATE_HOME": str(root)})


def test_every_noun_is_changed_from_elsewhere(api: Served, token_file: Path) -> None:
    for command in (
        "teams create ml --budget 5M-tokens/day",
        "policies set small --rpm 20",
        "policies set small --weight 3 --unset rpm",
        "keys create bob --team ml --policy small --models qwen --max-prompt-bytes 64k",
        "keys set bob --rpm 7",
        "keys rotate bob --grace 1h",
        "teams set ml",
        "backend weight gpu1 5",
        "backend drain gpu1",
        "backend undrain gpu1",
        "backend add gpu2 http://127.0.0.1:10 --models qwen",
        "backend remove gpu2",
        "backend reset gpu1",
        "admin token create ci --role read --expires 3d",
        "admin token revoke ci",
        "keys revoke bob",
        "teams remove ml",
        "policies remove small",
    ):
        ran = there(api, token_file, *command.split())
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
    newest = json.loads(here(api, "audit", "log", "-n", "25", "--json").stdout)
    made = next(each for each in newest if each["action"] == "key.create")
    assert made["who"] == "token full"
    assert made["after"]["limits"] == {"max_prompt_bytes": 65536}
    changed = next(each for each in newest if each["action"] == "key.set")
    assert changed["after"]["limits"] == {"max_prompt_bytes": 65536, "requests_per_minute": 7}


SETTINGS = (
    "--models qwen --rpm 7 --tpm 8 --concurrency 9 --max-prompt-bytes 64k --max-tokens 10 "
    "--budget 5M-tokens/day --priority high --weight 3 --ip 10.0.0.0/8 --deny-ip 10.1.0.0/16 "
    "--services wiki --guardrails house --manage --explain"
)


def test_every_setting_of_a_key_or_a_policy_can_be_ended(api: Served, token_file: Path) -> None:
    """Here and from elsewhere; each by the name of its option."""
    options = [word for word in SETTINGS.split() if word.startswith("--")]
    assert sorted(options) == sorted(f"--{each}".replace("_", "-") for each in OPTIONS)
    here(api, "keys", "create", "ended")
    for run in (functools.partial(here, api), functools.partial(there, api, token_file)):
        for noun in (("keys", "set", "ended"), ("policies", "set", "ended")):
            assert run(*noun, *SETTINGS.split()).returncode == 0
            for option in options:
                ran = run(*noun, "--unset", option.removeprefix("--"))
                assert ran.returncode == 0, (option, ran.stderr)
        key = json.loads(run("keys", "show", "ended", "--json").stdout)
        policy = json.loads(run("policies", "list", "--json").stdout)
        assert not GRANTED & key.keys()
        assert "ended" in str(policy)
        assert not any(f"'{name}'" in str(policy) for name in GRANTED)


GRANTED = set(Grant.model_fields)
OPTIONS = inspect.signature(_options).parameters


@pytest.mark.parametrize(
    "command",
    [
        "keys list --revoked --json",
        "keys show ann --json",
        "keys export",
        "teams list --json",
        "policies list --json",
        "backend list --json",
        "usage --format json --since 2026-01-01 --until 2026-01-02",
        "audit log --json",
        "admin token list --json",
        "history --format json",
        "plan --format json",
        "metrics show infergate_keys",
    ],
)
def test_what_is_asked_from_elsewhere_is_what_is_said_here(
    api: Served, token_file: Path, command: str
) -> None:
    here(api, "teams", "create", "research")
    here(api, "keys", "create", "ann", "--budget", "1M-tokens/day", "--priority", "high")
    assert there(api, token_file, *command.split()).stdout == here(api, *command.split()).stdout


WITH_MORE = f"""{CONFIG.replace("8080", "127.0.0.1:8080, https: 127.0.0.1:8443")}
tls: {{ self_signed: true }}
models: {{ m: [gpu1] }}
services: {{ docs: {{ url: http://127.0.0.1:9, host: docs.lan, cache: {{ paths: [/s/] }} }} }}
"""


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An admin API of a gateway with certificates, a firewall, and files that are kept."""
    with served(tmp_path_factory.mktemp("more"), WITH_MORE) as it:
        report = {"rule": "942100", "message": "SQL", "where": "ARGS:q"}
        entry = {"id": "1-a", "path": "/x", "attack": True, "rules": [report]}
        it.gateway.home.waf_log.write_text(json.dumps({"ts": 1.0, **entry}) + "\n")
        yield it


@pytest.fixture
def more_token(more: Served, tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(more.full + "\n")
    return path


@pytest.mark.parametrize(
    ("command", "tells"),
    [
        ("waf --json", "942100"),
        ("waf", "exclude:"),
        ("bans list --json", "203.0.113.0/24"),
        ("bans list", "too eager"),
        ("cache stats --json", "docs"),
        ("cert list --json", "self-signed"),
        ("cert list", "CA to trust"),
        ("cert ca", "BEGIN CERTIFICATE"),
        ("audit --offline --all --json", '"score"'),
        ("audit --offline --fail-on never", "of 100"),
    ],
)
def test_what_stands_guard_is_looked_at_from_elsewhere(
    more: Served, more_token: Path, command: str, tells: str
) -> None:
    banned = ["bans", "add", "203.0.113.0/24", "--for", "1h", "--reason", "too eager"]
    assert there(more, more_token, *banned).returncode == 0
    there_, here_ = there(more, more_token, *command.split()), here(more, *command.split())
    assert tells in there_.stdout
    assert (there_.stdout, there_.returncode) == (here_.stdout, here_.returncode)


def test_bans_and_kept_answers_end_from_elsewhere(more: Served, more_token: Path) -> None:
    assert there(more, more_token, "bans", "add", "203.0.113.9", "--forever").returncode == 0
    assert "203.0.113.9/32" in (more.gateway.home.bans / "networks.conf").read_text()
    ran = there(more, more_token, "bans", "remove", "203.0.113.9")
    assert ran.stdout == "203.0.113.9/32 is answered again.\n"
    assert "203.0.113.9" not in here(more, "bans", "list").stdout
    newest = json.loads(here(more, "audit", "log", "-n", "2", "--json").stdout)
    assert {(each["action"], each["who"]) for each in newest} == {
        ("ban.add", "token full"),
        ("ban.remove", "token full"),
    }
    kept = service_folder(more.gateway.home, "docs")
    kept.mkdir(parents=True)
    (kept / ("0" * 32)).write_bytes(b"x")
    assert "1 answer will not" in there(more, more_token, "cache", "purge").stdout
    assert list(kept.rglob("*0")) == []
    for command, what in (
        ("bans add 127.0.0.1", "127.0.0.1/32 is not banned"),
        ("bans add nobody", "is not an address"),
        ("bans remove 198.51.100.1", "is not banned"),
        ("cache purge --service wiki", "no files of 'wiki' are kept"),
        ("cert issue", "not from an ACME authority"),
    ):
        elsewhere, local = there(more, more_token, *command.split()), here(more, *command.split())
        assert (elsewhere.returncode, local.returncode) == (2, 2), command
        assert what in elsewhere.stderr.replace("\n", " "), elsewhere.stderr
        assert what in local.stderr.replace("\n", " ")


def test_a_token_for_reading_bans_nobody(more: Served, tmp_path: Path) -> None:
    token = tmp_path / "read"
    token.write_text(more.read)
    assert there(more, token, "bans", "list").returncode == 0
    for command in ("bans add 203.0.113.7", "bans remove x", "cache purge", "cert renew"):
        assert "may ask and not change" in there(more, token, *command.split()).stderr


def test_more_keys_than_a_page_has_are_all_listed(api: Served, token_file: Path) -> None:
    keys = "".join(f'"Bearer k{number}-{time.time_ns()}" 1;\n' for number in range(1200))
    file = token_file.with_name("keys.map")
    file.write_text(keys)
    ran = there(api, token_file, "keys", "import", str(file), "--json")
    assert json.loads(ran.stdout) == {"found": 1200, "imported": 1200}
    listed = json.loads(there(api, token_file, "keys", "list", "--json").stdout)
    assert len({each["id"] for each in listed}) == len(listed) >= 1200


def test_a_mistake_is_told_as_here_with_the_same_exit_code(api: Served, token_file: Path) -> None:
    for command in ("keys show nobody", "keys create x --team none", "backend drain gpu9"):
        far, near = there(api, token_file, *command.split()), here(api, *command.split())
        assert far.returncode == near.returncode == 2
        assert near.stderr.strip() in far.stderr


def test_a_token_that_is_wrong_or_only_for_reading_is_told(api: Served, token_file: Path) -> None:
    token_file.write_text(api.read)
    refused = there(api, token_file, "teams", "create", "x")
    assert (refused.returncode, "may ask and not change" in refused.stderr) == (2, True)
    token_file.write_text("wrong")
    refused = there(api, token_file, "teams", "list")
    assert (refused.returncode, "token is not valid" in refused.stderr) == (2, True)


def test_the_environment_can_say_where_and_with_which_token(api: Served) -> None:
    environ = {"INFERGATE_URL": api.url, "INFERGATE_TOKEN": api.read}
    assert run_here(["teams", "list", "--json"], environ).returncode == 0
    # A configuration that is named goes before the environment, and not before --url.
    file = str(api.gateway.home.root / "infergate.yaml")
    environ["INFERGATE_HOME"] = str(api.gateway.home.root)
    assert run_here(["check", "-c", file], environ).returncode == 0
    both = run_here(["--url", api.url, "teams", "list", "-c", file], environ)
    assert "either --url or -c" in both.stderr


def test_a_token_among_the_arguments_is_warned_of(api: Served) -> None:
    ran = run_here(["--url", api.url, "--token", api.read, "teams", "list"], {})
    assert ran.returncode == 0
    assert "seen in lists of processes" in ran.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://10.0.0.1:9090", "would cross the network in clear text"),
        ("ftp://localhost", "is no address of an admin API"),
        ("http://127.0.0.1:1", "cannot be reached"),
        ("unix:/nowhere/admin.sock", "cannot be reached"),
    ],
)
def test_an_address_that_cannot_be_is_told(url: str, said: str, tmp_path: Path) -> None:
    ran = run_here(["--url", url, "teams", "list"], {"INFERGATE_TOKEN": "secret"})
    assert ran.returncode != 0
    assert said in ran.stderr


@pytest.mark.parametrize("command", ["up", "down", "check", "logs", "doctor"])
def test_what_only_works_on_the_spot_says_so(api: Served, command: str) -> None:
    ran = run_here(["--url", api.url, command], {})
    assert ran.returncode == 2
    assert "on the gateway's own machine only" in ran.stderr


def test_no_command_but_the_api_itself_loads_fastapi(api: Served) -> None:
    """In a process of its own: this one has it loaded."""
    import subprocess
    import sys

    code = (
        "import sys; from infergate.cli import main; sys.argv = ['infergate', 'teams', 'list', "
        f"'-c', {str(api.gateway.home.root / 'infergate.yaml')!r}]; main.__call__; "
        "import contextlib\nwith contextlib.suppress(SystemExit): main()\n"
        "sys.exit(any(name in sys.modules for name in ('fastapi', 'starlette', 'uvicorn')))"
    )
    environ = {**os.environ, "INFERGATE_HOME": str(api.gateway.home.root)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
