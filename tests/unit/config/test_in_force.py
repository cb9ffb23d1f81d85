"""The file, what discovery found and what operators changed, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infergate.config.backends import AddedBackend, FoundBackend
from infergate.config.in_force import Change, What, has_lapsed, in_force, said, with_found
from infergate.config.load import parse_config
from infergate.config.problems import ConfigError
from infergate.config.root import Config

TWO = "backends: { a: http://x:1, b: { url: http://y:1, weight: 2 } }\n"
GROUP = (
    "backends: { a: http://x:1, g: { discover: { file: f.json }, weight: 3, engine: vllm } }\n"
    "models: { m: [g, a], n: [g] }\n"
)


def config(text: str) -> Config:
    return parse_config(text, Path("infergate.yaml"), {}).config


def change(of: Config, backend: str, what: What, **value: Any) -> Change:
    """As it is made while the file is `of`."""
    return Change(backend, what, value, said(of.backends.get(backend), what), 1, "me")


def test_a_weight_holds_until_the_file_has_another_one() -> None:
    file = config(TWO)
    weight = change(file, "b", "weight", weight=9)
    assert in_force(file, {}, [weight]).backends["b"].weight == 9
    url_changed = config(TWO.replace("y:1", "z:1"))
    assert in_force(url_changed, {}, [weight]).backends["b"].weight == 9
    overtaken = config(TWO.replace("weight: 2", "weight: 4"))
    assert in_force(overtaken, {}, [weight]).backends["b"].weight == 4
    assert (has_lapsed(weight, file), has_lapsed(weight, overtaken)) == (False, True)


def test_a_removed_backend_stays_out_until_the_file_describes_another_one() -> None:
    text = TWO + "models: { m: [a, b], n: [b] }\n"
    file = config(text)
    removal = change(file, "b", "remove")
    assert list(in_force(file, {}, [removal]).backends) == ["a"]
    assert in_force(file, {}, [removal]).models["m"].backends == ["a"]
    assert in_force(file, {}, [removal]).models["n"].backends == []
    heavier = config(text.replace("weight: 2", "weight: 4"))
    assert list(in_force(heavier, {}, [removal]).backends) == ["a"], "it is the same server"
    elsewhere = config(text.replace("y:1", "z:1"))
    assert list(in_force(elsewhere, {}, [removal]).backends) == ["a", "b"]
    assert not has_lapsed(removal, config("backends: { a: http://x:1 }")), "another file may"


def test_an_added_backend_stays_until_the_file_has_its_name() -> None:
    file = config(TWO)
    addition = change(file, "c", "add", url="http://z:1", weight=5)
    heavier = change(file, "c", "weight", weight=7)
    added = in_force(file, {}, [addition, heavier]).backends["c"]
    assert (type(added), added.url, added.weight) == (AddedBackend, "http://z:1", 7)
    taken = config("backends: { c: http://x:1 }")
    assert in_force(taken, {}, [addition, heavier]).backends["c"].url == "http://x:1"
    assert has_lapsed(addition, taken)


def test_a_group_is_its_backends_wherever_it_stands() -> None:
    found = {
        "g": [
            FoundBackend(name="g-1", url="http://1.2.3.4:1"),
            FoundBackend(name="g-2", url="http://1.2.3.4:2", weight=8, engine="ollama"),
        ]
    }
    whole = with_found(config(GROUP), found)
    assert list(whole.backends) == ["a", "g-1", "g-2"]
    assert [whole.backends[n].weight for n in ("g-1", "g-2")] == [3, 8]
    assert [whole.backends[n].engine for n in ("g-1", "g-2")] == ["vllm", "ollama"]
    assert whole.models["m"].backends == ["g-1", "g-2", "a"]
    assert with_found(config(GROUP), {}).models["n"].backends == []


def test_what_a_group_calls_a_model_all_its_backends_do_but_those_named_themselves() -> None:
    text = GROUP.replace("n: [g]", "n: { backends: [g, a], upstream_names: { g: N, a: n2 } }")
    found = {
        "g": [
            FoundBackend(name="g-1", url="http://g:1"),
            FoundBackend(name="g-2", url="http://g:2"),
        ]
    }
    model = with_found(config(text), found).models["n"]
    assert [model.name_at(each) for each in model.backends] == ["N", "N", "n2"]


def test_what_has_the_name_of_another_backend_is_left_out() -> None:
    found = {"g": [FoundBackend(name="A", url="http://1.2.3.4:1")]}
    whole = with_found(config(GROUP), found)
    assert (list(whole.backends), whole.models["m"].backends) == (["a"], ["a"])


def test_an_addition_that_only_a_newer_infergate_understands_is_left_out() -> None:
    addition = change(config(TWO), "c", "add", url="http://z:1", colour="blue")
    assert list(in_force(config(TWO), {}, [addition]).backends) == ["a", "b"]


def test_a_change_of_a_found_backend_holds_while_it_is_found_the_same() -> None:
    found = {"g": [FoundBackend(name="g-1", url="http://1.2.3.4:1")]}
    weight = change(with_found(config(GROUP), found), "g-1", "weight", weight=9)
    assert in_force(config(GROUP), found, [weight]).backends["g-1"].weight == 9
    assert "g-1" not in in_force(config(GROUP), {}, [weight]).backends
    heavier = {"g": [found["g"][0].model_copy(update={"weight": 4})]}
    assert in_force(config(GROUP), heavier, [weight]).backends["g-1"].weight == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ discover: {} }", "exactly one of dns and file"),
        ("{ discover: { dns: http://x, file: y } }", "exactly one of dns and file"),
        ("{ discover: { dns: https://x } }", "only http"),
        ("{ discover: { file: y }, url: http://x }", "give url or discover, not both"),
        ("{ discover: { dns: http://x, name_server: y } }", "is not an address like"),
        ("{ discover: { dsn: http://x } }", "did you mean 'dns'"),
        ("{ weight: 2 }", "needs the setting 'url'"),
    ],
)
def test_a_group_that_cannot_be_found_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(f"backends: {{ g: {text} }}")


def test_a_group_cannot_be_a_shadow() -> None:
    with pytest.raises(ConfigError, match="is a group"):
        config(GROUP.replace("n: [g]", "n: { backends: [a], shadow: { backend: g } }"))
