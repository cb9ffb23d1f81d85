"""What every response of a gateway has around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from infergate.api.inner import Inner
from infergate.api.turns import Turns
from infergate.config.responses import KeptResponses
from infergate.store.database import Database
from infergate.store.responses import StoredResponse


class TokenGrant(Protocol):
    """Lets one in the background ask in the name of its key (api/grant.py)."""

    async def token(self, refused: str | None = None) -> str | None: ...
    async def end(self) -> None: ...


@dataclass(frozen=True)
class ResponsesAround:
    """node: this gateway. settings, largest: asked anew when they are needed; the latter is
    `limits.max_body`, which a whole conversation may not exceed either. turns: how many in the
    background are asked at once, and whose is next."""

    database: Database
    node: str
    settings: Callable[[], KeptResponses]
    largest: Callable[[], int]
    inner: Inner
    grant: Callable[[StoredResponse], TokenGrant]
    turns: Turns
