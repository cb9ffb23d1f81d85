"""A model that is served must not be left without a backend that answers."""

from __future__ import annotations

from pathlib import Path

from infergate.changes.reach import KnownBackends, look, served, unserved
from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.control.report import BackendReport, Report
from infergate.health.inventory import Inventory, ModelInfo
from tests.backends.servers import scripted

DEAD = "connection refused"


def config(text: str) -> Config:
    return parse_config(text, Path("infergate.yaml"), {}).config


def report(**states: str) -> Report:
    nothing = dict.fromkeys(
        ("kind", "version", "models_problem", "latency_ms", "running", "waiting", "kv_cache_use",
         "generation_tokens", "prompt_tokens")
    )  # fmt: skip
    backends = tuple(
        BackendReport(name, "", state, f"it is {state}", 0.0, models=(), **nothing)
        for name, state in states.items()
    )
    return Report(0.0, True, backends, (), ())


def having(**models: str) -> dict[str, Inventory]:
    """backend → what it lists, words of a text."""
    return {
        name: Inventory("vllm", models=tuple(map(ModelInfo, listed.split())))
        for name, listed in models.items()
    }


def lost(
    was: dict[str, tuple[str, ...]], after: str, known: KnownBackends
) -> dict[str, dict[str, str]]:
    return {each.model: dict(each.reasons) for each in unserved(was, config(after), known)}


TWO = "backends: { a: http://a:1, b: http://b:1 }\n"


def test_a_model_whose_last_backend_is_lost_is_named_with_the_reason() -> None:
    after = TWO + "models: { m: [a, b], n: [b] }\n"
    was = {"m": ("a", "b"), "n": ("b",)}
    assert lost(was, after, KnownBackends({"a": None, "b": DEAD})) == {"n": {"b": DEAD}}
    assert "'n'" in str(*unserved(was, config(after), KnownBackends({"a": None, "b": DEAD})))
    assert not lost(was, after, KnownBackends({"a": None}))  # of b nobody knows anything yet
    assert not lost({}, after, KnownBackends({"a": DEAD, "b": DEAD}))  # was not served


def test_without_named_models_all_backends_must_be_lost() -> None:
    before = config(TWO)
    was = dict(served(before, report(a="up", b="down"), {}))
    assert was == {"*": ("a",)}
    assert not lost(was, TWO, KnownBackends({"a": None, "b": "down"}))
    assert lost(was, TWO, KnownBackends({"a": "gone", "b": "down"})) == {
        "*": {"a": "gone", "b": "down"}
    }
    (said,) = unserved(was, before, KnownBackends({"a": "gone", "b": "down"}))
    assert str(said) == "no backend would be left (a: gone; b: down)"


def test_a_discovered_model_is_protected_like_a_named_one() -> None:
    inventories = having(a="x y", b="y")
    was = dict(served(config(TWO), report(a="up", b="up"), inventories))
    assert was == {"x": ("a",), "y": ("a", "b"), "*": ("a", "b")}
    faults = {"a": DEAD, "b": None}
    assert lost(was, TWO, KnownBackends(faults, inventories)) == {"x": {"a": DEAD}}
    # It moved, and nobody could ask it what it has; or it moved to something that has another.
    assert lost(was, TWO, KnownBackends(faults, having(b="y"))) == {"x": {"a": DEAD}}
    other = KnownBackends({"a": None, "b": None}, having(a="z", b="y"))
    assert lost(was, TWO, other) == {"x": {"a": "it does not have it"}}
    # One of another name took its place, and does not answer.
    renamed = "backends: { c: http://c:1, b: http://b:1 }\n"
    dead = KnownBackends({"c": DEAD, "b": None}, having(b="y"))
    assert lost(was, renamed, dead) == {"x": {"c": DEAD}}


def test_what_the_file_says_outright_is_meant() -> None:
    inventories = having(a="x", b="y", c="z")
    was = {"x": ("a",), "y": ("b",), "*": ("a", "b")}
    healthy = KnownBackends({"a": None, "b": None, "c": "down"}, inventories)
    # A backend that goes, beside one that was down before and had other models.
    assert not lost(was, "backends: { b: http://b:1, c: http://c:1 }\n", healthy)
    # A model that is not named any longer.
    assert not lost({"x": ("a",)}, TWO + "models: { y: [b] }\n", healthy)


def test_a_named_model_that_its_backend_lost_is_no_reason_against_other_changes() -> None:
    inventories = having(a="x", b="other")
    text = TWO + "models: { x: [a], y: [b] }\n"
    was = dict(served(config(text), report(a="up", b="up"), inventories))
    assert was == {"x": ("a",)}
    assert not lost(was, text, KnownBackends({"a": None, "b": None}, inventories))


def test_no_backend_at_all_is_told() -> None:
    nothing = config(TWO).model_copy(update={"backends": {}})  # a group that is empty
    (said,) = unserved({"*": ("a",)}, nothing, KnownBackends())
    assert str(said) == "no backend would be left"


def test_only_backends_that_are_new_or_moved_are_asked() -> None:
    before = config("backends: { a: http://127.0.0.1:1, b: http://127.0.0.1:2 }\n")
    with scripted(name="c", models=["n"]) as c:
        after = config(
            f"backends: {{ a: http://127.0.0.1:1, b: http://127.0.0.1:3, c: {c.url} }}\n"
        )
        # What the control plane says of `a` holds, though nobody listens there.
        found = look(before, after, KnownBackends({"a": None, "b": None}, having(a="m", b="m")))
    assert found.faults["a"] is None
    assert "refused" in str(found.faults["b"])
    assert found.faults["c"] is None
    models = {name: [m.id for m in each.models] for name, each in found.inventories.items()}
    assert models == {"a": ["m"], "c": ["n"]}
