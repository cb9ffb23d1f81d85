"""What loads, and what it means."""

from __future__ import annotations

import contextlib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from infergate.config import addresses, types
from infergate.config.json_schema import json_schema
from infergate.config.load import LoadedConfig, load_config, parse_config
from infergate.config.problems import ConfigError

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


def parsed(text: str, environ: dict[str, str] | None = None) -> LoadedConfig:
    return parse_config(text, Path("infergate.yaml"), environ or {})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_load_unmodified_and_fit_the_schema(path: Path) -> None:
    assert load_config(path, {}).config.backends
    jsonschema.validate(YAML(typ="safe").load(path), json_schema())


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for wrong in (
        {"backends": {}},
        {"backend": {}},
        {"backends": {"a": {"ulr": "http://x"}}},
        {"backends": {"a": "http://x"}, "health": {"rise": 0}},
    ):
        assert not validator.is_valid(wrong), wrong


def test_short_forms_mean_the_long_ones() -> None:
    short = parsed("listen: 9000\nbackends: { a: http://x:1/v1 }\nmodels: { m: [a] }\n").config
    long = parsed(
        "listen: { http: 9000 }\nbackends: { a: { url: http://x:1/v1 } }\n"
        "models: { m: { backends: [a] } }\n"
    ).config
    assert short == long
    assert short.listen.http == "*:9000"
    assert short.backends["a"].root_url == "http://x:1"


def test_the_environment_is_read_where_it_is_named() -> None:
    text = (
        'backends: { a: { url: "http://${HOST}:1", api_key: "${KEY}-1" } }\n'
        'models: { "$${x}": [a] }\n'
    )
    config = parsed(text, {"HOST": "gpu", "KEY": "k"}).config
    backend = config.backends["a"]
    assert backend.url == "http://gpu:1"
    assert backend.api_key is not None
    assert backend.api_key.get_secret_value() == "k-1"
    assert config.models["$${x}"].backends == ["a"], "names of settings are taken as they stand"
    assert parsed('backends: { a: http://x:1 }\ndefault_model: "$${x}"\n').config.default_model == (
        "${x}"
    )


def test_secrets_show_nowhere_and_in_clear_text_draw_a_warning() -> None:
    loaded = parsed("backends: { a: { url: http://x:1, api_key: hunter2 } }\n")
    assert "hunter2" not in repr(loaded)
    assert [str(warning) for warning in loaded.warnings] == [
        "infergate.yaml:1:44: a secret in clear text; write ${NAME} and set NAME in the environment"
    ]


@pytest.mark.parametrize("value", ["0x50", "0o17", "1_000", "2020-01-01", "1e3"])
def test_odd_scalars_in_a_text_field_are_an_answer_and_no_crash(value: str) -> None:
    with contextlib.suppress(ConfigError):
        parsed(f"backends: {{ a: http://x:1 }}\ndefault_model: {value}\nengine: {value}\n")
    assert parsed(f"backends: {{ a: http://x:1 }}\nmodels: {{ {value}: [a] }}\n").config.models


@pytest.mark.parametrize(("value", "name"), [("true", "true"), ("~", "null")])
def test_what_yaml_takes_for_no_text_is_no_name_but_in_quotes(value: str, name: str) -> None:
    with contextlib.suppress(ConfigError):
        parsed(f"backends: {{ a: http://x:1 }}\ndefault_model: {value}\nengine: {value}\n")
    with pytest.raises(ConfigError, match=f'^infergate.yaml:2:11: {name} .* in quotes: "{name}"$'):
        parsed(f"backends: {{ a: http://x:1 }}\nmodels: {{ {value}: [a] }}\n")
    quoted = parsed(f'backends: {{ a: http://x:1 }}\nmodels: {{ "{name}": [a] }}\n')
    assert list(quoted.config.models) == [name]


_HOSTILE = st.text(min_size=1).filter(lambda text: set(text) & set("\"';{}$\\\n\r\0 \t#"))


@pytest.mark.parametrize(
    "kind",
    [
        types.Name,
        addresses.Host,
        addresses.HttpUrl,
        types.LocationPath,
        addresses.Network,
        types.Rate,
    ],
)
@given(hostile=_HOSTILE)
def test_nothing_that_nginx_reads_as_syntax_gets_into_a_name(kind: object, hostile: str) -> None:
    for text in (hostile, "http://x/" + hostile, "/" + hostile + "/"):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(text)
