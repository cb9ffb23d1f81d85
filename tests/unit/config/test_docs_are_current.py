"""The documentation that is written from the code is the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

from infergate.api.dialects.doc import page as dialects_page
from infergate.config.endpoints_doc import page
from infergate.config.example_yaml import example
from infergate.config.json_schema import json_schema
from infergate.config.load import load_config, parse_config
from infergate.config.reference_doc import reference
from infergate.metrics.reference_doc import page as metrics_page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_is_current() -> None:
    written = (DOCS / "configuration.md").read_text()
    assert written == reference(), (
        "python -m infergate.config.reference_doc > docs/configuration.md"
    )


def test_the_reference_says_of_each_setting_and_section_what_it_is_for() -> None:
    for section in reference().split("\n## ")[1:]:
        said = section.split("\n\n")[1]
        assert said.split("\nThe same settings")[0].endswith("."), said
        for row in section.splitlines():
            if row.startswith("| `"):
                cells = re.split(r"(?<!\\)\|", row)
                assert len(cells) == 6, row
                assert cells[4].strip(), row


def test_the_table_of_paths_is_current() -> None:
    written = (DOCS / "endpoints.md").read_text()
    assert written == page(), "python -m infergate.config.endpoints_doc > docs/endpoints.md"


def test_the_table_of_dialects_is_current() -> None:
    written = (DOCS / "dialects.md").read_text()
    assert written == dialects_page(), "python -m infergate.api.dialects.doc > docs/dialects.md"


def test_the_table_of_metrics_is_current() -> None:
    written = (DOCS / "metrics.md").read_text()
    assert written == metrics_page(), "python -m infergate.metrics.reference_doc > docs/metrics.md"


def test_the_schema_is_current() -> None:
    written = json.loads((DOCS / "infergate.schema.json").read_text())
    assert written == json_schema(), "infergate schema > docs/infergate.schema.json"


EXAMPLE = DOCS.parent / "infergate.example.yaml"


def test_the_example_of_all_settings_is_current() -> None:
    anew = "python -m infergate.config.example_yaml > infergate.example.yaml"
    assert EXAMPLE.read_text() == example(), anew


def test_the_example_says_the_defaults() -> None:
    smallest = parse_config("backends: {gpu1: http://127.0.0.1:11434}", EXAMPLE, {})
    assert load_config(EXAMPLE, {}).config == smallest.config


def test_the_example_has_every_setting() -> None:
    sections = [json_schema(), *json_schema()["$defs"].values()]
    settings = {name for section in sections for name in section.get("properties", ())}
    written = set(re.findall(r"(?m)^ *#?([\w.-]+):", EXAMPLE.read_text()))
    assert settings - written == set()
