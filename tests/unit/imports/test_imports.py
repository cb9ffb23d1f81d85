"""Each case is what somebody has, and beside it what `infergate import` makes of it and says.

printed/ has the blocks that the plans behind this gateway print, one file each. published/ is
written after the formats that other projects publish; each file says which. A change of expected/
is reviewed as a diff; INFERGATE_WRITE_EXPECTED=1 writes them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infergate.config.document import environment_names
from infergate.config.load import parse_config
from infergate.config.problems import ConfigError, Problem
from infergate.errors import UserError
from infergate.imports.draft import Draft
from infergate.imports.kinds import read_files
from infergate.imports.write import as_yaml
from infergate.store.secrets import key_hash
from tests.gateway import run_here

HERE = Path(__file__).parent
PRINTED, PUBLISHED = HERE / "printed", HERE / "published"

CASES: dict[str, list[Path]] = {
    **{path.stem: [path] for path in sorted(PRINTED.glob("*.conf"))},
    **{path.stem: [path] for path in sorted(PUBLISHED.iterdir()) if path.stem != "ollama_gateway"},
    "ollama_gateway": [
        PUBLISHED / "ollama_gateway.conf",
        PRINTED / "api_keys.conf",
        PRINTED / "upstream_ollama.conf",
    ],
    "plan_whole": [
        PRINTED / name
        for name in ("include_sites.conf", "vllm_gateway.conf", "ssl_termination.conf")
    ],
    "sites": [PRINTED / name for name in ("include_sites.conf", "vllm.conf", "qdrant.conf")],
    "model_router_with_script": [PRINTED / "model_router.conf", PRINTED / "http.js"],
    "olla_with_compose": [PUBLISHED / "olla_compose.yaml", PUBLISHED / "olla.yaml"],
}


def told(draft: Draft) -> str:
    return "".join(f"{each.kind}: {each.place}: {each.what}\n" for each in draft.findings)


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_people_have_becomes_what_is_expected(name: str) -> None:
    draft = read_files(CASES[name], HERE)
    text = as_yaml(draft, ", ".join(path.name for path in CASES[name]))
    found = f"{text}---\n{told(draft)}"
    expected = HERE / "expected" / f"{name}.txt"
    if os.environ.get("INFERGATE_WRITE_EXPECTED"):
        expected.write_text(found)
    assert found == expected.read_text()
    if draft.settings.get("backends"):
        _is_good(text)


def _is_good(text: str) -> None:
    """But for files that are on the original's machine."""
    environ = dict.fromkeys(environment_names(text), "http://127.0.0.1:1")
    problems: tuple[Problem, ...] = ()
    try:
        parse_config(text, HERE / "infergate.yaml", environ)
    except ConfigError as problem:
        problems = problem.problems
    assert [each for each in problems if "there is no file" not in each.message] == []


def test_no_case_shows_a_secret() -> None:
    shown = "".join(path.read_text() for path in (HERE / "expected").iterdir())
    for secret in (
        "your-secret-api-key", "your_generated_openssl_key_here", "sk-1234", "sk-proj-in-clear",
        "sk-hunter2", "in-clear", "sk-of-the-backend", "one-key", "key-of-the", "litellm:secret",
    ):  # fmt: skip
        assert secret not in shown


def test_a_map_that_is_included_into_a_server_is_named(tmp_path: Path) -> None:
    (tmp_path / "api_keys.conf").write_text((PRINTED / "api_keys_map.conf").read_text())
    files = [PRINTED / "include_api_keys.conf", tmp_path / "api_keys.conf"]
    said = told(read_files(files, HERE))
    assert "map $http_authorization stands inside server (by include of api_keys.conf)" in said
    assert "keys in clear (1)" in said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.conf", "upstream a { server b", "has no end"),
        ("x.yaml", "a: [", "is not YAML"),
        ("x.yaml", "- 1", "no YAML of settings"),
        ("x.yaml", "a: 1", "no gateway that is known"),
        ("x.yaml", "a: &a [1]\nb: {model_list: *a}", "no gateway that is known"),
        ("x.conf", "include x.conf;", "includes itself"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said) as told_:
        read_files([tmp_path / name], tmp_path)
    assert name in str(told_.value)


@pytest.mark.parametrize(
    "text",
    [
        "model_list: 1", "model_list: [1, {}, {model_name: x}, {litellm_params: {model: 1}}]",
        "model_list: [{model_name: a, litellm_params: {model: openai/b, api_base: 'http://['}}]",
        "{model_list: [], router_settings: [], general_settings: 3, litellm_settings: x}",
        "{services: {a: {image: open-webui, environment: 3}, b: {image: vllm/vllm-openai}}}",
        "{services: {b: {image: vllm/vllm-openai, command: [--port]}}}",
        "{models: {a: {cmd: x, aliases: {}, timeouts: 1}}, peers: {p: 1}, apiKeys: 7}",
        "{discovery: {type: static, static: {endpoints: [1, {url: 3}]}}, proxy: [], server: 1}",
    ],
)  # fmt: skip
def test_odd_values_are_told_and_never_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    draft = read_files([tmp_path / "x.yaml"], tmp_path)
    if draft.settings.get("backends"):
        _is_good(as_yaml(draft, "x.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "server { location / { proxy_pass; } }",
        "server { listen; server_name; location { } if { } }",
        "map $a; map { } upstream { server; } limit_req_zone; js_set; check;",
        "upstream u { server unix:/x; server a:b; } server { location / { proxy_pass http://u; } }",
        "server { location / { proxy_pass http://$host; } }",
        "server { allow x; limit_req; client_max_body_size y; proxy_read_timeout z; }",
        "location ~* \\.(js|css)$ { proxy_pass http://[::1]:8000/; }",
    ],
)
def test_odd_nginx_files_are_told_and_never_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.conf").write_text(text)
    draft = read_files([tmp_path / "x.conf"], tmp_path)
    if draft.settings.get("backends"):
        _is_good(as_yaml(draft, "x.conf"))


def test_nothing_that_was_guarded_is_opened(tmp_path: Path) -> None:
    """n8n has a login of its own; behind another login it is not to be had without one."""
    for guard in (
        "auth_request /auth;",
        "if ($http_x_key != a) { return 403; }",
        "auth_basic x; auth_basic_user_file users;",
    ):
        (tmp_path / "x.conf").write_text(
            f"server {{ server_name n8n.example.com; {guard} "
            "location / { proxy_pass http://10.0.0.8:5678; client_max_body_size 0; "
            "allow 10.0.0.0/8; deny all; } }"
        )
        draft = read_files([tmp_path / "x.conf"], tmp_path)
        (service,) = draft.settings["services"].values()
        assert service.get("auth", "key") != "none", guard
        assert service["access"] == {"allow": ["10.0.0.0/8"]}
        assert service["max_body"] == 0
        assert not draft.settings.get("access")


@pytest.mark.parametrize(
    "guard",
    [
        'server { if ($http_authorization != "Bearer top-secret") { return 401; } LOCATION }',
        "map $http_x_api_key $ok { default 0; top-secret 1; } "
        "server { if ($ok = 0) { return 403; } LOCATION }",
        'map $http_apikey $client { default ""; top-secret alice; } server { location = /check '
        '{ internal; if ($client = "") { return 401; } return 204; } auth_request /check; '
        "LOCATION }",
        "map $http_authorization $ok { default 0; top-secret 1; ~x 1; } "
        "server { if ($ok = 0) { return 401; } LOCATION }",
        'map $http_authorization $ok { default 0; "Bearer top-secret" 1; } '
        "server { if ($ok = 0) { return 401; } LOCATION }",
    ],
)
def test_a_key_is_taken_over_wherever_it_is_asked_for(tmp_path: Path, guard: str) -> None:
    location = "location /v1/ { proxy_pass http://10.0.0.5:8000; }"
    (tmp_path / "x.conf").write_text(guard.replace("LOCATION", location))
    draft = read_files([tmp_path / "x.conf"], tmp_path)
    (key,) = draft.settings["auth"]["keys"].values()
    assert key == {"hash": f"sha256:{key_hash('top-secret')}"}
    assert "keys in clear (1)" in told(draft)
    assert "no key is asked" not in told(draft)
    assert "top-secret" not in told(draft)


def test_what_our_file_cannot_say_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "model_list: [{model_name: a, litellm_params: "
        "{model: openai/b, api_base: 'http://user:secret@10.0.0.5'}}, "
        "{model_name: '', litellm_params: {model: openai/b, api_base: 'http://10.0.0.6'}}, "
        "{model_name: c, litellm_params: {model: openai/c, api_base: 'http://10.0.0.7'}}]\n"
        "router_settings: {model_group_alias: {'': c, d: c}}\n"
    )
    draft = read_files([tmp_path / "x.yaml"], tmp_path)
    assert list(draft.settings["models"]) == ["c"]
    assert draft.settings["models"]["c"]["aliases"] == ["d"]
    assert "lost: models.c.aliases: left out: a model name has 1 to 256 characters" in told(draft)
    assert "secret" not in told(draft)
    _is_good(as_yaml(draft, "x.yaml"))


def test_a_number_of_bombs_in_yaml_ends_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    (tmp_path / "x.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match="100,000"):
        read_files([tmp_path / "x.yaml"], tmp_path)


def test_the_command_writes_once_and_tells_beside(tmp_path: Path) -> None:
    out = tmp_path / "infergate.yaml"
    words = ["import", str(PRINTED / "lxc_953.conf"), "-o", str(out)]
    ran = run_here(words, {"COLUMNS": "80"})
    assert ran.returncode == 0
    assert ran.stdout == ""
    assert "Wrong in the original:\n  lxc_953.conf, line" in ran.stderr
    before = out.read_text()
    assert "qwen_service: {url: http://10.0.0.150:8000}" in before
    again = run_here(words, {})
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    assert out.read_text() == before
    wrong = run_here(["import", "--from", "caddy", str(out)], {})
    assert (wrong.returncode, "litellm" in wrong.stderr) == (2, True)
