"""The events of a response, to a client who may leave: it goes on without them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.types import Send

from infergate.api import answering
from infergate.api.dialects.translation import EVENT_STREAM


async def follow(events: AsyncIterator[bytes], send: Send) -> None:
    """To their end."""
    await answering.start(send, 200, [(b"content-type", EVENT_STREAM.encode())])
    async for each in events:
        await answering.part(send, each)
    await answering.end(send)


async def of_text(text: str, after: int) -> AsyncIterator[bytes]:
    """Those that were kept, which come after the one of this number."""
    for each in text.split("\n\n")[after + 1 : -1]:
        yield f"{each}\n\n".encode()
