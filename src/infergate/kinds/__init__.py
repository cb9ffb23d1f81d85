"""The kinds of inference servers: one file for each, with all that is known of it.

A new one is a new file here with a `KIND`; docs/kinds.md says what else it takes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from infergate.kinds.kind import Kind, KindName, Replies, Reply

__all__ = ["ASKED_FIRST", "ASKED_THEN", "KINDS", "OTHER", "Kind", "KindName", "Replies", "Reply"]

OTHER: KindName = "openai"
"""What has no sign of another kind."""


def _found() -> Iterator[Kind]:
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None)
        if kind is not None:
            yield kind


KINDS: Mapping[KindName, Kind] = MappingProxyType(
    {kind.name: kind for kind in sorted(_found(), key=lambda each: (each.name == OTHER, each.name))}
)
"""By name; OTHER is the last one."""


def _asked(*, imitating: bool) -> tuple[str, ...]:
    kinds = (kind for kind in KINDS.values() if kind.imitates is imitating)
    return tuple(dict.fromkeys(path for kind in kinds for path in kind.asks))


ASKED_FIRST = ("/v1/models", *_asked(imitating=True))
"""The paths that tell a kind which imitates others, and one that writes its name."""

ASKED_THEN = _asked(imitating=False)
"""The paths that tell the rest."""
