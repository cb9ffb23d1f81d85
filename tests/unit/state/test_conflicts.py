"""What does not fit together is told in plain words, and only that."""

from __future__ import annotations

from infergate.health.inventory import Inventory, ModelInfo
from infergate.state.conflicts import conflicts
from tests.unit.state.test_routes import TWO, config, has


def told(text: str, **inventories: Inventory) -> str:
    return "\n".join(conflicts(config(text), inventories))


def test_one_name_on_engines_of_two_kinds() -> None:
    both = {"a": has("m", "n"), "b": has("m", kind="ollama")}
    assert told(TWO, **both).startswith("'m' is on a (vllm) and b (ollama): requests for it go")
    assert told(TWO + "models: { m: [a], '*': [a, b] }\n", **both) == "", "the file has decided"
    assert told(TWO, a=has("m"), b=has("m")) == ""


def test_one_name_with_two_lengths_of_context() -> None:
    short, long = (Inventory("vllm", "1", (ModelInfo("m", n),)) for n in (4096, 32768))
    assert told(TWO, a=short, b=long).startswith("'m' takes 4,096 on a and 32,768 on b tokens")
    assert told(TWO, a=short, b=short) == ""


def test_an_alias_that_hides_a_discovered_model() -> None:
    text = TWO + "models: { m: { backends: [a], aliases: [gpt] }, '*': [b] }\n"
    assert "so the model 'gpt' that b has cannot be asked for" in told(text, b=has("gpt"))
    assert told(text, b=has("other")) == ""


def test_ollama_s_short_name_that_another_backend_has() -> None:
    said = told(TWO, a=has("llama3:latest", kind="ollama"), b=has("llama3"))
    assert "'llama3' is the model of b; that of a is asked for as 'llama3:latest'" in said


def test_one_server_under_two_names() -> None:
    said = told("backends: { a: http://x:1, b: http://x:1/v1 }\n")
    assert "a and b are the same server (http://x:1)" in said


def test_a_model_that_only_the_default_model_catches() -> None:
    text = TWO + "models: { m: [a], n: { backends: [b], upstream_name: big } }\ndefault_model: m\n"
    said = told(text, a=has("m", "Q4.gguf"), b=has("big", "n:latest"))
    assert said.splitlines() == [
        "'Q4.gguf', which a has, is not named under models: requests for it go to "
        "default_model 'm'."
    ]
    assert told(text.replace("m: [a]", "m: [a], '*': [a, b]"), a=has("Q4.gguf")) == ""
    assert told(text.replace("default_model: m\n", ""), a=has("Q4.gguf")) == ""
