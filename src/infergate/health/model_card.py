"""What engines say of a model in /v1/models, cut down to the fields that clients know.

It goes to everybody who may use the model, so nothing passes but these fields, of the kinds and
sizes that vLLM, SGLang and llama.cpp send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infergate.health.ollama_entry import is_count, is_text
from infergate.shown import is_plain

_TEXTS = ("owned_by", "root", "parent")
_META = (
    *("vocab_type", "n_vocab", "n_ctx", "n_ctx_train", "n_embd", "n_params", "size"),
    *("desc", "ftype", "n_ctx_slot"),
)
"""Of llama.cpp."""

_LISTS = ("aliases", "tags")
"""Of llama.cpp, too: `--alias a,b`, `--tags`. An alias is asked for like the name itself."""

_LONGEST_LIST = 16


def card(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an entry that are passed on, besides its name and context length."""
    found: dict[str, Any] = {name: entry[name] for name in _TEXTS if is_text(entry.get(name))}
    if "parent" in entry and entry["parent"] is None:
        found["parent"] = None
    created = entry.get("created")
    if isinstance(created, float) and created.is_integer():
        created = int(created)
    if is_count(created, least=0):
        found["created"] = created
    if is_count(entry.get("max_model_len")):
        found["max_model_len"] = entry["max_model_len"]
    for name in _LISTS:
        if _are_names(entry.get(name)):
            found[name] = entry[name]
    meta = entry.get("meta")
    if isinstance(meta, dict):
        known = {name: meta[name] for name in _META if name in meta}
        found["meta"] = {n: v for n, v in known.items() if is_count(v, least=0) or is_text(v)}
    return found


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _LONGEST_LIST
        and all(is_text(each) and each and is_plain(each) for each in value)
    )
