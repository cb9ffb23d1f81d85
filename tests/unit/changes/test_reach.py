"""A model that is served must not be left without a backend that answers."""

from __future__ import annotations

from pathlib import Path

from infergate.changes.reach import faults_of, served, unserved
from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.control.report import BackendReport, Report
from tests.backends.servers import scripted


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


def test_a_model_whose_last_backend_is_lost_is_named_with_the_reason() -> None:
    after = config("backends: { a: http://a:1, b: http://b:1 }\nmodels: { m: [a, b], n: [b] }\n")
    was = frozenset({"m", "n"})
    (lost,) = unserved(was, after, {"a": None, "b": "connection refused"})
    assert (lost.model, lost.reasons) == ("n", {"b": "connection refused"})
    assert "'n'" in str(lost)
    assert not list(unserved(was, after, {"a": None}))  # of b nobody knows anything yet
    assert not list(unserved(frozenset(), after, {"a": "down", "b": "down"}))  # was not served


def test_without_named_models_all_backends_must_be_lost() -> None:
    before = config("backends: { a: http://a:1, b: http://b:1 }\n")
    was = served(before, report(a="up", b="down"))
    assert not list(unserved(was, before, {"a": None, "b": "down"}))
    (lost,) = unserved(was, before, {"a": "gone", "b": "down"})
    assert str(lost) == "no backend would be left (a: gone; b: down)"


def test_only_backends_that_are_new_or_moved_are_asked() -> None:
    before = config("backends: { a: http://127.0.0.1:1, b: http://127.0.0.1:2 }\n")
    with scripted(name="c") as c:
        after = config(
            f"backends: {{ a: http://127.0.0.1:1, b: http://127.0.0.1:3, c: {c.url} }}\n"
        )
        # What the control plane says of `a` holds, though nobody listens there.
        faults = faults_of(before, after, report(a="up", b="up"))
    assert faults["a"] is None
    assert "refused" in str(faults["b"])
    assert faults["c"] is None
