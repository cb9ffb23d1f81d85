"""A model that is asked whether a text is safe, in the name of the caller (njs/guards.js)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from infergate.api.caller import Caller
from infergate.api.connection import Unanswered
from infergate.api.dialects.chat import PATH, read_answer
from infergate.api.guard.rules import Blocked, Rule, Side
from infergate.api.inner import Inner, TooLarge, whole
from infergate.api.refusal import Refused

_MOST_BYTES = 1024**2
_TOKENS = 32
_HEADER = (b"x-infergate-judge", b"1")


async def judge(inner: Inner, caller: Caller, rule: Rule, texts: Iterable[str], side: Side) -> None:
    """Raises Blocked where it says anything but safe, or nothing and the rule is to refuse then."""
    said = rule.judge
    assert said is not None  # noqa: S101 - whoever calls has looked
    try:
        async with asyncio.timeout(said["timeout"]):
            verdict = await _verdict(inner, caller, said, "\n\n".join(texts))
    except (TimeoutError, Unanswered, TooLarge, Refused, ValueError, RecursionError):
        if said["unanswered"] == "refuse":
            raise Blocked(rule.name, "judge", side) from None
        return
    if not is_safe(verdict):
        raise Blocked(rule.name, "judge", side)


def is_safe(verdict: str) -> bool:
    """Whether its first line is the one word, as models of that trade say it (Llama Guard): a text
    that was judged may have had it write anything behind."""
    lines = verdict.strip().splitlines()
    return bool(lines) and lines[0].strip(" .*\"'").lower() == "safe"


async def _verdict(inner: Inner, caller: Caller, said: Mapping[str, Any], text: str) -> str:
    messages = [{"role": "system", "content": said["prompt"]}] if said["prompt"] else []
    body = {
        "model": said["model"],
        "messages": [*messages, {"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": _TOKENS,
    }
    async with inner.ask(caller, "POST", PATH, json.dumps(body).encode(), [_HEADER]) as answer:
        told = json.loads(await whole(answer, _MOST_BYTES))
        if answer.status != 200 or not isinstance(told, dict):
            raise ValueError
        return read_answer(told).text
