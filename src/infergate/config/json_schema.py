"""The JSON Schema of infergate.yaml, for editors and other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infergate.config.root import Config

_SHORT_FORMS = {
    "Backend": {"type": "string", "description": "The URL alone."},
    "Hsts": {"type": "boolean", "description": "Two years for this host alone, or not at all."},
    "Listen": {"type": ["integer", "string"], "description": "A port for plain HTTP."},
    "Store": {"type": "string", "description": "The URL alone."},
    "Model": {"type": "array", "items": {"type": "string"}, "description": "The backends alone."},
    "Waf": {"enum": ["off", "detect", "block"], "description": "The mode alone."},
    "Bans": {"enum": ["off", "detect", "block"], "description": "The mode alone."},
    "ServiceWaf": {"enum": ["off", "detect", "block"], "description": "The mode alone."},
    "Exclusion": {"type": ["integer", "string"], "description": "The rule's number alone."},
}
"""What may stand in place of a whole section; the sections' validators understand it."""


def json_schema() -> dict[str, Any]:
    """The schema (2020-12) of the file as it is written, short forms included."""
    schema = Config.model_json_schema(mode="validation")
    # Instead of the URL there may be `discover` (config/backends.py).
    backend = schema["$defs"]["Backend"]
    del backend["required"]
    backend["oneOf"] = [{"required": ["url"]}, {"required": ["discover"]}]
    # One of them is needed; the loader says so in its own words.
    schema["anyOf"] = [{"required": ["backends"]}, {"required": ["serve"]}]
    schema["patternProperties"] = {"^x-": {"description": "Your own: a place for YAML anchors."}}
    for name, short in _SHORT_FORMS.items():
        definition = schema["$defs"][name]
        schema["$defs"][name] = {"anyOf": [definition, short]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infergate.yaml",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def sections_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Each section by its name, without its short form; the whole file's is "Config"."""
    found = {"Config": schema, **schema["$defs"]}
    return {
        name: each if "properties" in each or "anyOf" not in each else each["anyOf"][0]
        for name, each in found.items()
    }


def under_names(value: Mapping[str, Any]) -> list[Any]:
    """What stands under names of the operator's own."""
    inside = [value.get("additionalProperties"), *value.get("patternProperties", {}).values()]
    return [each for each in inside if isinstance(each, dict)]
