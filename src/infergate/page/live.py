"""One stream of news for all open pages: asked once, told to everybody, and nothing while no page
is open."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

EVERY_S = 2.0
_STATUS_EVERY = 3
"""Every so many times the whole status is asked for, which is long where there is much of it."""
MOST_PAGES = 50
"""Open at once; the admin API has 200 connections for everybody."""
_UNREAD = 5
"""News that a page may be behind; one that reads none of it is cut off."""

Ask = Callable[[str, str], Awaitable[bytes | None]]
"""What the admin API answers to a GET of this path with this query; None if it refuses."""


@dataclass(eq=False)
class OpenPage:
    """One that is open. ask: in its visitor's name."""

    ask: Ask
    news: asyncio.Queue[bytes | None] = field(
        default_factory=lambda: asyncio.Queue(maxsize=_UNREAD)
    )


class LivePage:
    """The pages that are open, and the one task that asks for all of them."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._pages: list[OpenPage] = []
        self._asking: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= MOST_PAGES

    async def follow(self, ask: Ask) -> AsyncIterator[bytes]:
        """Server-sent events for one page, until its visitor may not ask any more."""
        page = OpenPage(ask)
        self._pages.append(page)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_on())
        try:
            yield b"retry: 3000\n\n"
            while (news := await page.news.get()) is not None:
                yield news
        finally:
            with contextlib.suppress(ValueError):
                self._pages.remove(page)

    async def _ask_on(self) -> None:
        try:
            await self._ask_while_open()
        finally:  # by a fault: they come back and find another
            for page in list(self._pages):
                self._cut(page)

    async def _ask_while_open(self) -> None:
        after, turn = 0, 0
        while self._pages:
            for page in list(self._pages):  # who was logged out hears nothing more
                if await page.ask("/v1/tokens:me", "") is None:
                    self._cut(page)
            if not self._pages:
                return
            ask = self._pages[0].ask
            live = await ask("/v1/live", f"after={after}")
            if live is not None:
                after = int(json.loads(live).get("next", after))
                self._tell(b"event: live\ndata: " + live + b"\n\n")
            if turn % _STATUS_EVERY == 0 and (status := await ask("/v1/status", "")) is not None:
                self._tell(b"event: status\ndata: " + status + b"\n\n")
            turn += 1
            await asyncio.sleep(self._every_s)

    def _tell(self, news: bytes) -> None:
        for page in list(self._pages):
            try:
                page.news.put_nowait(news)
            except asyncio.QueueFull:
                self._cut(page)

    def _cut(self, page: OpenPage) -> None:
        with contextlib.suppress(ValueError):
            self._pages.remove(page)
        while page.news.full():
            page.news.get_nowait()
        page.news.put_nowait(None)
