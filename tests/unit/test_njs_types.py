"""What njs' files are given has the types that they are checked with (e2e/test_njs_source.py)."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

from infergate.config.load import load_config
from infergate.nginx.zones import Needs, zones

FOLDER = Path(str(resources.files("infergate.nginx")))
TYPES = (FOLDER / "njs" / "infergate.d.ts").read_text()


def test_zones_are_of_the_type_that_is_declared(tmp_path: Path) -> None:
    file = tmp_path / "infergate.yaml"
    file.write_text(
        "backends: { a: http://127.0.0.1:9 }\nmodels: { m: { backends: [a], hedge: {} } }\n"
        "timeouts: { first_byte: 5s }\napi: {}\n"
    )
    there = {
        f"ig_{zone.name}": "number" if "type=number" in zone.parameters else "string"
        for zone in zones(load_config(file).config, Needs())
    }
    for path in (FOLDER / "templates").rglob("*.j2"):
        for name, rest in re.findall(r"zone=(ig_\w+):(.*)", path.read_text()):
            if "js_shared_dict_zone" in path.read_text():
                there[name] = "number" if "type=number" in rest else "string"
    declared = dict(re.findall(r"readonly (ig_\w+): NgxSharedDict<(\w+)>", TYPES))
    assert declared == there


def test_settings_are_those_that_are_given() -> None:
    source = (FOLDER / "programs.py").read_text()
    given = source[source.index("settings = {") : source.index("texts = ")]
    names: Any = re.findall(r'^        "(\w+)":', given, re.MULTILINE)
    declared = TYPES[TYPES.index("declare const settings") :]
    assert re.findall(r"^    readonly (\w+):", declared, re.MULTILINE) == names
