"""Sends traffic through a router, by the clock or after answers, and notes what clients see."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.routing.fleet import Clock
from bench.routing.prompts import Chain, Message, Turn, body

DRAIN_S = 300.0
"""Simulated seconds after the last request is sent; what has no answer then has none."""

_FIRST_TOKEN = re.compile(rb'"content": ?"[^"]')
_CACHED = re.compile(rb'"cached_tokens": ?(\d+)')
_PROMPT = re.compile(rb'"prompt_tokens": ?(\d+)')
_KEPT = 4096
"""Bytes of an answer's end: usage is in the last event before [DONE]."""


@dataclass
class Seen:
    """One request as its client saw it; times in seconds of the clock.

    due_s: when it should have been sent; error: "" where it was answered in full; prompt_tokens and
    hit: as the answer's usage has them.
    """

    number: int
    due_s: float
    sent_s: float
    first_s: float | None = None
    ended_s: float | None = None
    error: str = ""
    prompt_tokens: int = 0
    hit: int = 0


@dataclass(frozen=True)
class Target:
    """Where requests are sent: an http URL without path, and a key if it needs one."""

    url: str
    key: str = ""


async def replay(
    chains: Sequence[Chain], target: Target, clock: Clock, window_s: float, salt: str = ""
) -> list[Seen]:
    """What was sent within the window, in the order of sending. The clock has to have begun.

    salt: of the prompts' words, for engines whose caches are not empty.
    """
    sender = _Sender(target, clock, window_s, salt)
    tasks = [asyncio.create_task(sender.follow(chain)) for chain in chains]
    left_s = (window_s + DRAIN_S - clock.now()) / clock.scale
    _, late = await asyncio.wait(tasks, timeout=left_s) if tasks else ((), ())
    for task in late:
        task.cancel()
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(done, Exception):
            raise done
    return sender.seen


class _Sender:
    def __init__(self, target: Target, clock: Clock, window_s: float, salt: str) -> None:
        self._target, self._clock = target, clock
        self._window_s, self._salt = window_s, salt
        self.seen: list[Seen] = []

    async def follow(self, chain: Chain) -> None:
        """Send its turns, each once the one before is answered and its wait is over."""
        clock, ready_s = self._clock, 0.0
        for turn in chain:
            due_s = ready_s + turn.wait_s
            if due_s >= self._window_s:
                return
            await asyncio.sleep(max(0.0, (due_s - clock.now()) / clock.scale))
            one = Seen(len(self.seen), due_s, due_s)
            self.seen.append(one)
            await self.ask(turn, one)
            ready_s = max(due_s, clock.now())

    async def ask(self, turn: Turn, one: Seen) -> None:
        """Send it, and read its answer to the end."""
        request = _request(body(turn, one.number, self._salt), turn.session, self._target)
        parts, clock = urlsplit(self._target.url), self._clock
        one.sent_s = clock.now()
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            writer.write(request)
            await _read(reader, clock, one)
        except asyncio.CancelledError:
            one.error = f"no answer {DRAIN_S:.0f} s after the last request"
            raise
        except OSError as problem:
            one.error = f"broken off: {problem!r}"
        finally:
            one.ended_s = clock.now()
            if writer is not None:
                writer.close()


async def _read(reader: asyncio.StreamReader, clock: Clock, one: Seen) -> None:
    """Until the connection is closed, as the request asks for."""
    answer = b""
    while part := await reader.read(65536):
        answer += part
        if one.first_s is None and _FIRST_TOKEN.search(answer):
            one.first_s = clock.now()
        if one.first_s is not None:
            answer = answer[-_KEPT:] if len(answer) > 2 * _KEPT else answer
    if one.first_s is None and answer[:13] not in (b"", b"HTTP/1.1 200 "):
        one.error = (answer.partition(b"\r\n")[0] + b" " + answer[-200:]).decode("latin-1")
    elif b"[DONE]" not in answer:
        one.error = "broken off " + ("before" if one.first_s is None else "after") + " a token"
    for name, pattern in (("prompt_tokens", _PROMPT), ("hit", _CACHED)):
        with contextlib.suppress(IndexError):
            setattr(one, name, int(pattern.findall(answer)[-1]))


def _request(content: bytes, session: str, target: Target) -> bytes:
    headers = {
        "Host": urlsplit(target.url).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
        "x-session-id": session,
        **({"Authorization": f"Bearer {target.key}"} if target.key else {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + content


async def first_answers(target: Target, model: str, wanted: int) -> None:
    """So many short requests one after the other, each of them answered in full, so that a run does
    not begin with a router that is not ready. Raises RuntimeError after 60 others."""
    asked = Turn("first", 0.0, (Message("user", (("first", 8),)),), 2, model)
    clock, failed = Clock(1.0), 0
    while wanted:
        one = Seen(-1, 0.0, 0.0)
        sender = _Sender(target, clock, 1.0, "")
        await sender.ask(asked, one)
        if not one.error:
            wanted -= 1
            continue
        failed += 1
        if failed > 60:
            raise RuntimeError(f"{target.url} does not answer: {one.error}")
        await asyncio.sleep(0.5)
