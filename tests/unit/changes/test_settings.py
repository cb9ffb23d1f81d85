"""What a plan and a diff show of two configurations."""

from __future__ import annotations

from pathlib import Path

from infergate.changes.settings import changed_lines, changed_settings, secrets_of
from infergate.config.load import parse_config
from infergate.config.root import Config


def config(text: str) -> Config:
    return parse_config(text, Path("infergate.yaml"), {}).config


def test_each_setting_that_differs_is_named_with_both_values() -> None:
    before = config("backends: { a: http://a:1, b: http://b:1 }\nmodels: { m: [a] }\n")
    after = config(
        "backends: { a: { url: http://a:2 } }\nmodels: { m: [a] }\ntimeouts: { connect: 1s }\n"
    )
    found = {each.path: (each.before, each.after) for each in changed_settings(before, after)}
    assert found["backends.a.url"] == ("http://a:1", "http://a:2")
    assert found["timeouts.connect"] == ("2.0", "1.0")
    assert found["backends.b"][1] is None
    assert "http://b:1" in str(found["backends.b"][0])
    assert len(found) == 3


def test_secrets_are_said_to_differ_and_never_shown() -> None:
    text = "backends: {{ a: {{ url: http://a:1, api_key: {} }} }}\n"
    before, after = config(text.format("sesame")), config(text.format("abracadabra"))
    (change,) = changed_settings(before, after)
    assert (change.path, change.before, change.after) == (
        "backends.a.api_key",
        "secret",
        "another secret",
    )
    secrets = secrets_of(before) | secrets_of(after)
    lines = changed_lines(text.format("sesame"), text.format("abracadabra"), ("1", "2"), secrets)
    assert lines, "they differ"
    assert not any("sesame" in line or "abracadabra" in line for line in lines)
