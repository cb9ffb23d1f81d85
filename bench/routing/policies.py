"""Who is asked in virtual time where a request goes: the form of other routers' policies.

Infergate's own is in gateway.py. These are what their documentation and code say they do, in few
lines; live runs have the routers themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.routing.prompts import Turn, blocks_of, body


@dataclass(frozen=True)
class Request:
    """One request; number: its place in the order of sending."""

    number: int
    turn: Turn

    @cached_property
    def body(self) -> bytes:
        return body(self.turn, self.number)

    @cached_property
    def content(self) -> str:
        """What engines read of it, and cut into blocks."""
        return "".join(each.text for each in self.turn.messages)


@dataclass(frozen=True)
class Look:
    """What a router that looks at an engine sees.

    metrics: vLLM's text; "" where it has none. loaded: models in its memory; None where all are.
    moves: it ends steps.
    """

    dead: bool
    moves: bool
    metrics: str
    loaded: Sequence[str] | None


class Router:
    """holds_head: a stream may go elsewhere until its first token."""

    holds_head = False

    def choose(self, request: Request, now: float, tried: Sequence[int]) -> int | None:
        """An engine that it was not sent to yet; None if there is none."""
        raise NotImplementedError

    def first(self, request: Request, now: float) -> None:
        """Its first token came."""

    def ended(self, request: Request, now: float, hit: int | None = None) -> None:
        """Its answer, or this attempt at one, is over. hit: cached tokens, as the answer's usage
        has them."""

    def failed(self, request: Request, engine: int, now: float, *, silent: bool) -> None:
        """The engine could not be reached, broke off, or was silent for too long."""

    def first_byte_s(self, _: Request) -> float:
        """How long it waits for the first token."""
        return 600.0

    def look(self, looks: Sequence[Look], now: float) -> None:
        """Comes every LOOK_S."""

    def close(self) -> None:
        """It is not asked again."""


class LeastConn(Router):
    """nginx's: the fewest requests in flight; one that failed is left alone for fail_timeout."""

    FAIL_S = 10.0

    def __init__(self, engines: int) -> None:
        self.busy = [0] * engines
        self._until = [0.0] * engines
        self._turn = 0
        self._at: dict[int, int] = {}

    def choose(self, request: Request, now: float, tried: Sequence[int]) -> int | None:
        able = self._able(now, tried)
        if not able:
            return None
        self._turn += 1
        start = self._turn % len(able)
        at = min(able[start:] + able[:start], key=lambda each: self.busy[each])
        self.busy[at] += 1
        self._at[request.number] = at
        return at

    def _able(self, now: float, tried: Sequence[int]) -> list[int]:
        left = [at for at in range(len(self.busy)) if at not in tried]
        return [at for at in left if self._until[at] <= now] or left

    def ended(self, request: Request, _: float, __: int | None = None) -> None:
        self.busy[self._at.pop(request.number)] -= 1

    def failed(self, _: Request, engine: int, now: float, **__: bool) -> None:
        self._until[engine] = now + self.FAIL_S


class CacheAware(LeastConn):
    """SGLang's and vLLM's routers' policy of that name, with their defaults: the engine that got
    most of this prompt before, if that is more than the threshold of it, else the one that got
    least; the least busy while they are far apart. Their health checks are as often as ours."""

    THRESHOLD, APART, TIMES, TOKENS, BLOCK = 0.3, 64, 1.5, 2**24, 128

    def __init__(self, engines: int) -> None:
        super().__init__(engines)
        self._had: list[OrderedDict[bytes, None]] = [OrderedDict() for _ in self.busy]
        self._down = [False] * engines

    def choose(self, request: Request, now: float, tried: Sequence[int]) -> int | None:
        blocks = blocks_of(request.content, self.BLOCK, request.turn.model)
        able = [at for at in self._able(now, tried) if not self._down[at]]
        if not able:
            return None
        at = self._best(blocks, able)
        had = self._had[at]
        for block in reversed(blocks):
            had[block] = None
            had.move_to_end(block)
        while len(had) * self.BLOCK > self.TOKENS:
            had.popitem(last=False)
        self.busy[at] += 1
        self._at[request.number] = at
        return at

    def _best(self, blocks: Sequence[bytes], able: Sequence[int]) -> int:
        least, most = min(self.busy[at] for at in able), max(self.busy[at] for at in able)
        if most - least > self.APART and most > self.TIMES * least:
            return min(able, key=lambda at: self.busy[at])
        known = {at: self._known(blocks, at) for at in able}
        best = max(able, key=lambda at: known[at])
        if known[best] > self.THRESHOLD * max(1, len(blocks)):
            return best
        return min(able, key=lambda at: len(self._had[at]))

    def _known(self, blocks: Sequence[bytes], at: int) -> int:
        return next(
            (n for n, block in enumerate(blocks) if block not in self._had[at]), len(blocks)
        )

    def look(self, looks: Sequence[Look], _: float) -> None:
        self._down = [each.dead for each in looks]
