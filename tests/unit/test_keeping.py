"""What is kept, as it is rendered and compiled; who pays for it, and when it is forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.live.purge import cache_file
from infergate.nginx.keeping import who_answers
from infergate.nginx.render import Surroundings, render
from infergate.paths import Home
from infergate.state.routes import compile_routes

BACKENDS = "backends: { a: http://127.0.0.1:8000, b: http://127.0.0.1:8001 }\n"


def config(models: str, more: str = "") -> Config:
    return parse_config(f"{BACKENDS}models: {models}\n{more}", Path("f"), {}).config


def rendered(models: str) -> dict[str, str]:
    return dict(render(config(models), Surroundings("f", Home(Path("/h")))).files)


def test_where_no_model_has_a_cache_nothing_of_it_is_rendered() -> None:
    files = rendered("{ m: [a] }")
    assert not [
        name
        for name, text in files.items()
        if "proxy_cache" in text or ("ig_keep" in text and not name.startswith("njs/"))
    ]
    assert not {"njs/cached.js", "njs/kept.js", "njs/missed.js", "njs/purge.js"} & files.keys()
    assert '"cache":' not in files["nginx.conf"]


def test_other_endpoints_keep_the_short_way_as_it_is() -> None:
    files = rendered("{ m: { backends: [a], cache: {} } }")
    api = files["sites-available/api.conf"]
    for path, snippet in (("/v1/embeddings", "cached"), ("/v1/chat/completions", "hot")):
        line = next(line for line in api.splitlines() if f"location = {path} " in line)
        assert f"include snippets/{snippet}.conf;" in line
    assert files["snippets/hot.conf"] == rendered("{ m: [a] }")["snippets/hot.conf"]


@pytest.mark.parametrize(
    "other",
    [
        config("{ m: { backends: [a], upstream_name: n, cache: {} } }"),
        config("{ m: { backends: [b], cache: {} } }"),
        config("{ m: { backends: [a], cache: { shared: true } } }"),
        config("{ m: { backends: [a], cache: {}, limits: { concurrent: 1 } } }"),
        config("{ m: { backends: [a], cache: {} } }", "limits: { concurrent: 1 }"),
    ],
)
def test_what_was_kept_is_not_given_under_another_configuration(other: Config) -> None:
    one = config("{ m: { backends: [a], cache: {} } }")
    assert who_answers(one) == who_answers(
        config("{ m: { backends: [a], cache: {} } }", "gzip: all")
    )
    assert who_answers(one) != who_answers(other)


def test_answers_of_two_models_are_not_kept() -> None:
    canary = "{ m: { backends: [a], cache: {}, canary: { model: n, percent: 9 } }, n: [b] }"
    loaded = parse_config(f"{BACKENDS}models: {canary}\n", Path("f"), {})
    assert any("canary" in str(warning) for warning in loaded.warnings)
    assert json.loads(compile_routes(loaded.config, {}).routes["m"])[3].get("cache") is None


def test_the_file_of_a_key_is_where_nginx_puts_it() -> None:
    # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_path has c/29/b7f5…029c
    assert str(cache_file("a")) == "1/66/0cc175b9c0f1b6a831c399e269772661"
