"""Where usage is kept, prices and budgets: what the file may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.load import LoadedConfig, parse_config
from infergate.config.problems import ConfigError

BACKENDS = "backends: { a: http://127.0.0.1:9 }\n"


def parsed(text: str, **environ: str) -> LoadedConfig:
    return parse_config(BACKENDS + text, Path("x.yaml"), environ)


@pytest.mark.parametrize(
    "url", ["mysql://h/db", "postgresql://h", "postgresql://h:x/db", "postgresql://u:hush@h/"]
)
def test_what_is_no_postgresql_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(f"store: {url}\n")
    assert "postgresql://USER:PASSWORD@HOST" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("form", ["store: {}", "store: {{ url: {} }}"])
def test_a_password_belongs_into_the_environment(form: str) -> None:
    (warning,) = parsed(form.format("postgresql://u:hush@h/db\n")).warnings
    assert "clear text" in str(warning)
    loaded = parsed(form.format("'postgresql://u:${PW}@h/db'\n"), PW="hush")
    assert loaded.warnings == ()
    assert "hush" not in repr(loaded)


@pytest.mark.parametrize(
    ("price", "nano"),
    [
        ("{ input: 0.15, output: 0.6 }", 1000 * 150 + 10 * 600),
        ("{ input: 1, cached_input: 0.1 }", 600 * 1000 + 400 * 100),
        ("{ output: 0.001 }", 10),
        ("{ per_request: 0.000000001, per_second: 0.000001 }", 3 + 2500 * 1),
    ],
)
def test_a_price_is_exact(price: str, nano: int) -> None:
    model = parsed(f"models: {{ m: {{ backends: [a], price: {price} }} }}").config.models["m"]
    assert model.price is not None
    assert model.price.nano(1000, 10, 400, 3, 2500) == nano


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: { m: { backends: [a], price: { input: 0.0001 } } }", "three decimals"),
        ("models: { m: { backends: [a], price: { input: -1 } } }", "must be at least 0"),
        ("models: { m: { backends: [a], price: { per_request: -1 } } }", "must be at least 0"),
        ("models: { m: { backends: [a], price: { per_request: 1e-10 } } }", "nine decimals"),
        ("models: { m: { backends: [a], price: { per_second: 1e-7 } } }", "six decimals"),
        (f"auth: {{ keys: {{ k: {{ hash: {'a' * 64}, budget: 10M }} }} }}", "is not a budget"),
        (
            f"auth: {{ keys: {{ k: {{ hash: {'a' * 64}, budget: 5-USD/day }} }} }}",
            "prices are in EUR",
        ),
        ("usage: { keep: { hours: 7d } }", "must be at least 2,764,800"),
    ],
)
def test_what_cannot_be_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert message in str(caught.value)
