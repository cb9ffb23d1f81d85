"""CloudFormation's templates as far as tests read them: its short tags, and Join and Sub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode


class _Constructor(SafeConstructor):
    pass


def _tagged(constructor: _Constructor, suffix: str, node: Any) -> Any:
    kinds = {ScalarNode: "scalar", SequenceNode: "sequence", MappingNode: "mapping"}
    kind = kinds[type(node)]
    deep = {} if kind == "scalar" else {"deep": True}
    return {suffix: getattr(constructor, f"construct_{kind}")(node, **deep)}


_Constructor.add_multi_constructor("!", _tagged)


def read(path: Path) -> dict[str, Any]:
    """A template; `!Ref NAME` is {"Ref": NAME}."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    document: dict[str, Any] = yaml.load(path)
    return document


def user_data(template: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """What the instance is given. values: of parameters and of what AWS makes."""
    data = template["Resources"]["Template"]["Properties"]["LaunchTemplateData"]
    separator, parts = data["UserData"]["Fn::Base64"]["Fn::Join"]
    texts = (
        part
        if isinstance(part, str)
        else re.sub(r"\$\{([A-Za-z0-9.:]+)\}", lambda found: values[found[1]], part["Fn::Sub"])
        for part in parts
    )
    return str(separator).join(texts)
