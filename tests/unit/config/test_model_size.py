"""Sizes of models as their names say them."""

from __future__ import annotations

import pytest

from infergate.config.model_size import billions, in_name

NAMES = {
    "Qwen3-30B-A3B": 30,
    "Qwen/Qwen3-235B-A22B-GPTQ-Int4": 235,
    "qwen2.5-coder:32b-instruct-q4_K_M": 32,
    "qwen3:0.6b": 0.6,
    "0.5b": 0.5,
    "smollm2:135m": 0.135,
    "Mixtral-8x7B-Instruct-v0.1": 56,
    "Mixtral-8X7B": 56,
    "Llama-4-Maverick-17Bx128E": 17,
    "1.5T": 1500,
    "Kimi-K2-1T-A32B": 1000,
    "Qwen1.5-MoE-A2.7B": 2.7,
    "gemma-3n-E4B-it": 4,
    "TinyLlama-1.1B-intermediate-step-1431k-3T": 1.1,
    "Qwen2.5-14B-Instruct-1M": 14,
    "chat-with-1M": None,
    "bge-m3": None,
    "GLM-4.5-Air": None,
    "phi-3-mini-4k": None,
    "bloom7b1": None,
    "0B": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_how_large_the_model_is(name: str) -> None:
    assert in_name(name) == NAMES[name]


def test_a_size_alone_is_read_as_engines_and_people_write_it() -> None:
    assert [billions(text) for text in ("32.8B", " 8x7B", "137.0M", "1.0T")] == [
        32.8,
        56,
        0.137,
        1000,
    ]
    assert [billions(text) for text in ("", "A3B", "8", "many")] == [None] * 4
