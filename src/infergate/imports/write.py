"""A draft as infergate.yaml, with comments, in the order of the documentation."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from infergate.config.root import Config
from infergate.imports.draft import Draft

_LONGEST = 80
"""Of a section that stands on one line."""

_NO_BACKEND = """
# No backend was found: this is a part. Import it together with the files that name
# its servers, or add them here:
# backends:
#   gpu1: http://127.0.0.1:8000
"""


def as_yaml(draft: Draft, origin: str) -> str:
    """origin: what it was made from, for the first line. The same draft gives the same text."""
    order = {name: number for number, name in enumerate(Config.model_fields)}
    top = CommentedMap()
    for name in sorted(draft.settings, key=lambda each: order.get(each, len(order))):
        value = draft.settings[name]
        if value not in ({}, None):
            top[name] = _node(value, (name,), draft)
            _say(top, name, (name,), draft)
    out = io.StringIO()
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 4096  # a line is as long as its text; nothing is folded
    yaml.indent(mapping=2, sequence=4, offset=2)
    if top:
        yaml.dump(top, out)
    head = f"# Made by `infergate import` from {origin}. Read it, then: infergate check\n"
    return head + out.getvalue() + ("" if draft.settings.get("backends") else _NO_BACKEND)


def _node(value: Any, path: tuple[str, ...], draft: Draft) -> Any:
    if isinstance(value, Mapping):
        node = CommentedMap()
        for name, each in value.items():
            if each not in ({}, None):
                node[name] = _node(each, (*path, name), draft)
                _say(node, name, (*path, name), draft)
        inside = any(known[: len(path)] == path and known != path for known in draft.comments)
        short = all(_is_short(each) for each in node.values()) and len(str(dict(node))) < _LONGEST
        if len(path) > 1 and not inside and short:
            node.fa.set_flow_style()
        return node
    if isinstance(value, list):
        items = CommentedSeq(value)
        if len(str(value)) < _LONGEST:
            items.fa.set_flow_style()
        return items
    return value


def _is_short(value: Any) -> bool:
    return not isinstance(value, CommentedMap) or bool(value.fa.flow_style())


def _say(node: CommentedMap, name: str, path: tuple[str, ...], draft: Draft) -> None:
    said = draft.comments.get(path)
    if said is not None:
        node.yaml_set_comment_before_after_key(name, before=said, indent=2 * (len(path) - 1))
