"""The documentation that is written from the code is the code's."""

from __future__ import annotations

import json
from pathlib import Path

from infergate.config.endpoints_doc import page
from infergate.config.json_schema import json_schema
from infergate.config.reference_doc import reference

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_is_current() -> None:
    written = (DOCS / "configuration.md").read_text()
    assert written == reference(), (
        "python -m infergate.config.reference_doc > docs/configuration.md"
    )


def test_the_table_of_paths_is_current() -> None:
    written = (DOCS / "endpoints.md").read_text()
    assert written == page(), "python -m infergate.config.endpoints_doc > docs/endpoints.md"


def test_the_schema_is_current() -> None:
    written = json.loads((DOCS / "infergate.schema.json").read_text())
    assert written == json_schema(), "infergate schema > docs/infergate.schema.json"
