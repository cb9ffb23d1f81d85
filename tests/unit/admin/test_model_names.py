"""Models and services that a key may use and that are not there are told when that is said."""

from __future__ import annotations

from pathlib import Path

from infergate.admin.model_names import unknown as unknown_of
from infergate.config.load import parse_config
from infergate.config.policies import Grant
from infergate.paths import Home

NAMED = "backends: { a: http://a:1 }\nmodels: { llama3: { backends: [a], aliases: [gpt-4] } }\n"


def unknown(text: str, folder: Path, *wanted: str) -> list[str]:
    config = parse_config(text, folder / "infergate.yaml", {}).config
    return unknown_of(config, Home(folder), Grant(models=list(wanted)))["unknown_models"]


def test_a_misspelt_model_is_told_and_a_pattern_is_understood(tmp_path: Path) -> None:
    assert unknown(NAMED, tmp_path, "llama3", "gpt-4", "*", "gpt-*") == []
    assert unknown(NAMED, tmp_path, "lama3", "gpt-4", "qwen*") == ["lama3", "qwen*"]
    # Nobody has told yet what there is.
    assert unknown("backends: { a: http://a:1 }\n", tmp_path, "lama3") == []
