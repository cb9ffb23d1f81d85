"""Parameters that the operator gives requests are looked at as those of clients are."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.problems import ConfigError


def said(params: str) -> str:
    text = (
        f"backends: {{ a: http://x:1 }}\nmodels: {{ m: {{ backends: [a], params: {params} }} }}\n"
    )
    try:
        parse_config(text, Path("infergate.yaml"), {})
    except ConfigError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("section", ["set", "default"])
@pytest.mark.parametrize(
    ("param", "wrong"),
    [
        ("max_tokens: ten", "max_tokens must be a whole number, not 'ten'"),
        ("max_tokens: 0", "max_tokens must be from 1 to 1,000,000,000"),
        ("max_tokens: true", "max_tokens must be a whole number"),
        ("max_tokens: 1.5", "max_tokens must be a whole number"),
        ("temperature: hot", "temperature must be a number"),
        ("temperature: 3", "temperature must be from 0 to 2"),
        ("n: 1000", "n must be from 1 to 128"),
        ("stop: 7", "stop must be a string or a list of at most 64"),
        ("logit_bias: [1]", "logit_bias must be an object"),
        ("tools: 1", "tools must be a list"),
        ("logprobs: many", "logprobs must be true, false or a whole number"),
        ("null: 2", 'null is no name in YAML; if you mean a name, write it in quotes: "null"'),
        ("true: 2", "true is no name in YAML"),
    ],
)
def test_a_value_that_no_request_may_have_is_refused_with_its_place(
    section: str, param: str, wrong: str
) -> None:
    found = said(f"{{ {section}: {{ {param} }} }}")
    assert wrong in found
    assert found.startswith("infergate.yaml:2:")


@pytest.mark.parametrize(
    "param",
    [
        *("max_tokens: 10", 'max_tokens: "10"', "temperature: 0.2", "seed: -1", "stop: [a, b]"),
        *("x: 1", "logprobs: true", "logprobs: 5", "logit_bias: { a: 1 }", 'top_p: "0.5"'),
    ],
)
def test_what_requests_may_have_is_taken(param: str) -> None:
    assert said(f"{{ set: {{ {param} }} }}") == ""
