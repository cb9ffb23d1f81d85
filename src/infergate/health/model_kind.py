"""What a model is for, guessed where nobody says it: engines tell names, not purposes."""

from __future__ import annotations

import re
from collections.abc import Collection

_EMBEDDING = re.compile(r"embed|bge|minilm|e5-|gte-", re.IGNORECASE)
_EMBEDDING_ENGINES = frozenset(("tei", "infinity"))


def embeds(model: str, engines: Collection[str | None] = ()) -> bool:
    """Whether it makes embeddings rather than text. engines: the kinds that serve it."""
    return bool(_EMBEDDING.search(model)) or bool(_EMBEDDING_ENGINES.intersection(engines))
