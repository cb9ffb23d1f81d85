"""Which backends serve which name, from the file and from what was discovered."""

from __future__ import annotations

import cProfile
import json
from pathlib import Path
from typing import Any

import pytest

from infergate.config.in_force import Change, in_force, said, with_found
from infergate.config.load import parse_config
from infergate.config.problems import ConfigError
from infergate.config.root import Config
from infergate.health.inventory import Inventory, ModelInfo
from infergate.nginx.compiled_route import backends_of
from infergate.nginx.quick import quick_relay
from infergate.nginx.relays import relays_of
from infergate.state.routes import compile_routes


def config(text: str) -> Config:
    return parse_config(text, Path("infergate.yaml"), {}).config


def has(*models: str, kind: str = "vllm") -> Inventory:
    return Inventory(kind, "1", tuple(ModelInfo(m, tag={"name": m}) for m in models))  # type: ignore[arg-type]


TWO = "backends: { a: http://x:1, b: http://y:1 }\n"


def test_without_models_every_discovered_one_is_served_by_all_that_have_it() -> None:
    routes = compile_routes(config(TWO), {"a": has("m", "n"), "b": has("m")}).routes
    assert {name: backends_of(route) for name, route in routes.items()} == {
        "m": ["a", "b"],
        "n": ["a"],
    }


def test_with_models_only_the_named_ones_are_unless_there_is_a_star() -> None:
    named = TWO + "models: { m: [a] }\n"
    assert set(compile_routes(config(named), {"b": has("x")}).routes) == {"m"}
    star = TWO + "models: { m: [a], '*': [b] }\n"
    assert set(compile_routes(config(star), {"a": has("y"), "b": has("x", "m")}).routes) == {
        "m",
        "x",
    }
    assert backends_of(compile_routes(config(star), {"b": has("m")}).routes["m"]) == ["a"]


def test_a_named_model_is_routed_before_its_backend_was_ever_reached() -> None:
    assert backends_of(compile_routes(config(TWO + "models: { m: [a] }\n"), {}).routes["m"]) == [
        "a"
    ]


@pytest.mark.parametrize(
    ("text", "told", "may_be_there"),
    [
        (TWO, (), True),
        (TWO, ("a",), True),
        (TWO, ("a", "b"), False),
        (TWO + "models: { m: [a], '*': [b] }\n", ("b",), False),
        (TWO + "models: { m: [a], '*': [b] }\n", ("a",), True),
        (TWO + "models: { m: [a] }\n", (), False),
        ("backends: { g: { discover: { file: boxes.json } } }\n", (), True),
    ],
)
def test_a_model_that_nobody_knows_may_be_there_until_all_who_may_have_it_have_told(
    text: str, told: tuple[str, ...], may_be_there: bool
) -> None:
    expanded = with_found(config(text), {})
    catalog = compile_routes(expanded, {name: has("m") for name in told}).catalog
    assert bool(json.loads(catalog["untold"])) is may_be_there


def test_ollama_s_latest_may_be_left_out() -> None:
    routes = compile_routes(config(TWO), {"a": has("llama3:latest", kind="ollama")}).routes
    assert routes["llama3"] == routes["llama3:latest"]


def test_a_box_reached_by_https_is_managed_by_https() -> None:
    found = compile_routes(
        config(
            "backends: { near: http://127.0.0.1:11434, far: { url: https://far.example.com, "
            "engine: ollama } }\n"
        ),
        {"near": has("m", kind="ollama"), "far": has("m", kind="ollama")},
    )
    assert json.loads(found.catalog["boxes"]) == [["near", ""], ["far", "_https"]]


def test_what_an_engine_calls_a_model_besides_is_its_name_unless_another_is_called_so() -> None:
    models = (ModelInfo("code", aliases=("fim", "chat")), ModelInfo("chat"))
    compiled = compile_routes(config(TWO), {"a": Inventory("llamacpp", "1", models)})
    assert compiled.routes["fim"] == compiled.routes["code"] != compiled.routes["chat"]
    first, *_ = json.loads(compiled.catalog["models"])
    assert "fim" in first["names"]
    assert [each["entry"]["id"] for each in json.loads(compiled.catalog["models"])] == [
        "code",
        "chat",
    ]


def test_the_default_model_stands_under_the_empty_name() -> None:
    text = TWO + "models: { m: { backends: [a], aliases: [gpt] } }\ndefault_model: gpt\n"
    routes = compile_routes(config(text), {}).routes
    assert routes[""] == routes["m"] == routes["gpt"]


def test_a_model_that_the_backend_does_not_have_is_told() -> None:
    text = TWO + "models: { m: { backends: [a, b], upstream_name: real } }\n"
    compiled = compile_routes(config(text), {"a": has("real"), "b": has("other")})
    assert compiled.missing == (("m", "b"),)


def test_a_named_model_leaves_the_backends_that_lost_it_unless_all_did() -> None:
    it = config(TWO + "models: { m: [a, b] }\n")
    lost = compile_routes(it, {"a": has("m"), "b": has("x")})
    assert backends_of(lost.routes["m"]) == ["a"]
    assert lost.missing == (("m", "b"),)
    assert backends_of(compile_routes(it, {"a": has("m"), "b": has()}).routes["m"]) == ["a", "b"]
    nobody = compile_routes(it, {"a": has("y"), "b": has("x")})
    assert backends_of(nobody.routes["m"]) == ["a", "b"]
    any_name = compile_routes(it, {"a": has("m"), "b": has("x.gguf", kind="llamacpp")})
    assert backends_of(any_name.routes["m"]) == ["a", "b"]


def test_a_model_is_looked_for_by_the_name_that_each_backend_has_for_it() -> None:
    text = (
        TWO
        + "models: { m: { backends: [a, b], upstream_name: M, upstream_names: { b: 'm:8b' } } }\n"
    )
    found = {"a": has("M"), "b": has("m:8b", kind="ollama")}
    compiled = compile_routes(config(text), found)
    assert compiled.missing == ()
    names = [each[3] for each in json.loads(compiled.routes["m"])[2]]
    assert names == ["M", "m:8b"]
    lost = compile_routes(config(text), {**found, "b": has("M", kind="ollama")})
    assert (lost.missing, backends_of(lost.routes["m"])) == ((("m", "b"),), ["a"])


def test_a_filter_holds_for_every_backend_of_a_group_and_for_lists() -> None:
    text = TWO.replace("http://y:1", "{ url: http://y:1, model_filter: { exclude: ['M?'] } }")
    compiled = compile_routes(config(text), {"a": has("m1", "n"), "b": has("m1", "m10", "n")})
    assert {name: backends_of(route) for name, route in compiled.routes.items()} == {
        "m1": ["a"],
        "n": ["a", "b"],
        "m10": ["b"],
    }
    assert "m1" in compiled.catalog["models"]


def test_an_added_backend_joins_every_model_that_it_has() -> None:
    text = TWO + "models: { m: [a], n: { backends: [a], upstream_name: N }, '*': [b] }\n"
    change = Change("c", "add", {"url": "http://z:1"}, None, 1, "me")
    it = in_force(config(text), {}, [change])
    routes = compile_routes(it, {"c": has("m", "N", "own")}).routes
    assert {name: backends_of(route) for name, route in routes.items()} == {
        "m": ["a", "c"],
        "n": ["a", "c"],
        "N": ["c"],
        "own": ["c"],
    }
    assert backends_of(compile_routes(it, {}).routes["m"]) == ["a"], "it was not reached yet"


def test_without_any_backend_the_named_models_are_still_known() -> None:
    it = config(TWO + "models: { m: [a] }\n")
    gone = [Change(n, "remove", {}, said(it.backends[n], "remove"), 1, "me") for n in ("a", "b")]
    routes = compile_routes(in_force(it, {}, gone), {})
    assert json.loads(routes.routes["m"])[2:] == [[], 0, 0], "nobody to compare or to wait for"
    alone = compile_routes(in_force(config(TWO), {}, gone), {})
    assert alone.routes == {}


def test_every_route_leads_through_a_location_that_is_rendered() -> None:
    text = (
        "backends: { a: https://x:1, b: { url: https://y:1, verify_tls: false }, c: http://z:1 }\n"
        "models: { m: { backends: [a, b, c], timeouts: { first_byte: 9s } }, '*': [c] }\n"
    )
    it = config(text)
    locations = {relay.name for relay in relays_of(it)}
    routes = compile_routes(it, {"c": has("m", "x")}).routes
    usual = quick_relay(it).name
    used = {backend[5] or usual for route in routes.values() for backend in json.loads(route)[2]}
    assert used <= locations
    assert len(used) == 4


def test_backends_that_are_alike_have_one_entry_and_others_their_own() -> None:
    it = config(TWO + "models: { m: [a, b] }\n")
    alike = compile_routes(it, {"a": has("m"), "b": has("m")}).routes["m"]
    assert json.loads(alike)[2:] == [[["a", 1, 0, "", "vu", ""]], 0, ["a", "b"]]
    one_is_ollama = {"a": has("m"), "b": has("m", kind="ollama")}
    other = compile_routes(it, one_is_ollama).routes["m"]
    assert [backend[0] for backend in json.loads(other)[2]] == ["a", "b"]
    assert backends_of(alike) == backends_of(other) == ["a", "b"]


def test_a_hedged_model_leaves_the_short_way_unless_nobody_else_could_be_asked() -> None:
    text = (
        TWO
        + "models: { two: { backends: [a, b], hedge: {} }, one: { backends: [a], hedge: {} } }\n"
    )
    routes = compile_routes(config(text), {}).routes
    assert json.loads(routes["two"])[3] == {"hedge": 0.05, "slow": 1}
    assert json.loads(routes["one"])[3] == 0


def test_a_backup_s_place_is_in_its_route_and_nobody_else_pays_for_it() -> None:
    text = """
backends:
  a: http://x:1
  b: http://y:1
  c: { url: http://z:1, backup: true }
  d: { url: http://v:1, priority: 2 }
models: { m: [a, b, c, d], two: [a, b], same: [c] }
"""
    routes = {n: json.loads(r) for n, r in compile_routes(config(text), {}).routes.items()}
    assert [each[6:] for each in routes["m"][2]] == [[], [], [1], [2]]
    assert routes["m"][4] == 0, "not only how busy they are tells them apart"
    assert (routes["two"][4], [len(each) for each in routes["two"][2]]) == (["a", "b"], [6])


def test_a_thousand_backends_and_two_thousand_models_take_four_times_as_long_as_a_quarter() -> None:
    def calls(count: int) -> int:
        backends = "".join(f"  b{n}: 'http://x:{n + 1}'\n" for n in range(count))
        models = "".join(f"  m{n}: [b{n % count}, b{(n + 1) % count}]\n" for n in range(2 * count))
        loaded = config(f"backends:\n{backends}models:\n{models}")
        inventories = {f"b{n}": has(f"m{n}", f"m{n + count}", f"m{n - 1}") for n in range(count)}
        profile = cProfile.Profile()
        profile.runcall(compile_routes, loaded, inventories)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(1000) < 4.5 * calls(250)


def test_more_backends_than_there_may_be_are_told_with_the_limit() -> None:
    backends = "".join(f"  b{n}: 'http://x:{n + 1}'\n" for n in range(1001))
    with pytest.raises(ConfigError, match="at most 1,000 entries, and has 1,001"):
        config(f"backends:\n{backends}")


@pytest.mark.parametrize(
    ("name", "more", "told", "ms"),
    [
        ("m", "", {}, None),
        ("qwen2.5-coder:32b-instruct-q4_K_M", "", {}, 160),
        ("Mixtral-8x7B-Instruct", "", {}, 200),
        ("Qwen3-30B-A3B-4bit", "", {}, 150),
        ("smollm-360M", "", {}, 1.8),
        ("bge-m3", "", {}, None),
        ("x", ", upstream_name: org/model-7b", {}, 35),
        ("x", "", {"tag": {"details": {"parameter_size": "32.8B"}}}, 164),
        ("x-7b", "", {"card": {"meta": {"n_params": 14_000_000_000}}}, 70),
        ("x", "", {"card": {"root": "/models/Qwen2.5-14B"}}, 70),
        ("x", "", {"tag": {"details": "no"}, "card": {"meta": 7}}, None),
        ("x-7b", ", size: 14B", {"tag": {"details": {"parameter_size": "32.8B"}}}, 70),
    ],
)
def test_a_model_s_size_is_what_the_file_its_engine_or_its_name_says(
    name: str, more: str, told: dict[str, Any], ms: float | None
) -> None:
    it = config(f"{TWO}models: {{ '{name}': {{ backends: [a]{more} }} }}\n")
    inventories = {"a": Inventory("llamacpp", "1", (ModelInfo(name, **told),))}
    route = json.loads(compile_routes(it, inventories).routes[name])
    assert route[5:] == ([] if ms is None else [ms])


def test_every_rung_that_a_request_may_need_is_a_location() -> None:
    text = TWO + "timeouts: { default: 50s, maximum: 5m }\nmodels: { m: [a] }\n"
    assert [each.first_ms for each in relays_of(config(text))] == [50_000, 200_000, 300_000]
    assert not any(each.is_watched for each in relays_of(config(text)) if each.first_ms > 60_000)
    said = config(TWO + "timeouts: { first_byte: 70s, idle: 20s, dynamic: false }\n")
    assert [each.name for each in relays_of(said)] == ["@relay_2000_70000_20000"]
    assert relays_of(said)[0].watched_ms == (0, 20_000)
    equal = config(TWO + "timeouts: { first_byte: 5s, idle: 5s, dynamic: false }\n")
    assert [each.is_watched for each in relays_of(equal)] == [False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timeouts: { default: 20m }", r"maximum \(600s\) is below default \(1200s\): raise"),
        ("models: { m: { backends: [a], size: large } }", "write it like 32B, 8x7B or 270M"),
    ],
)
def test_times_that_cannot_be_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(TWO + text + "\n")


def test_a_websocket_on_responses_has_the_backends_that_take_one_and_that_nothing_limits() -> None:
    text = """
    backends:
      a: { url: http://127.0.0.1:1, websocket: true, weight: 2 }
      b: { url: https://b.example.com, websocket: true }
      c: { url: http://127.0.0.1:3, websocket: true }
      d: http://127.0.0.1:4
    models:
      m: [a, b, d]
      limited: { backends: [c], limits: { tokens_per_minute: 9 } }
    """
    (_, _, backends, _, names) = json.loads(compile_routes(config(text), {}).catalog["responses"])
    assert [each[:2] for each in backends] == [["a", 2], ["b", 1]]
    assert (backends[1][5].endswith("_https"), names) == (True, 0)
    everybody = text + "limits: { requests_per_minute: 9 }\n"
    for other in (everybody, text.replace("websocket: true", "websocket: false")):
        assert json.loads(compile_routes(config(other), {}).catalog["responses"]) == []
