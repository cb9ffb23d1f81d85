"""What a check has at hand: the gateway, the backends, and ways to say what was wrong."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.backends import Backends
from tests.conformance.client import Exchange, Reply, Target, exchange
from tests.conformance.options import Options
from tests.conformance.wire_script import Script

CHAT = "/chat/completions"
ANSWER_S = 30
"""How long an answer may take that the gateway has no reason to delay."""
_DEAD_S = 1
"""How long a gateway is waited for that did not answer before the last check either."""
_SPREAD_S = 5
"""How long a gateway that answers is watched for whether it uses all backends."""


class FailedError(Exception):
    """The gateway did what it must not. The text is the reason in the report."""


class SkippedError(Exception):
    """The check cannot be made here. The text is the reason in the report."""


def expect(condition: object, reason: str) -> None:
    if not condition:
        raise FailedError(reason)


class Bench:
    """One gateway under test and its backends."""

    def __init__(self, options: Options, backends: Backends) -> None:
        self.options, self.backends = options, backends
        self.gateway = Target.from_url(options.url, insecure=options.insecure)
        self.direct = Target("127.0.0.1", backends.ports[0], "/v1")
        self._uses_all: bool | None = None
        self._is_dead = False
        self._numbers = itertools.count()

    @property
    def headers(self) -> dict[str, str]:
        fields = {"content-type": "application/json", "accept": "*/*"}
        if self.options.key:
            fields["authorization"] = f"Bearer {self.options.key}"
        return fields

    def body(self, **more: Any) -> bytes:
        """A chat request. Its text differs each time: some gateways balance by the prompt."""
        messages = [{"role": "user", "content": f"conformance {next(self._numbers)}"}]
        return json.dumps({"model": self.options.model, "messages": messages, **more}).encode()

    @asynccontextmanager
    async def ask(
        self,
        *,
        target: Target | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        receive_buffer_bytes: int | None = None,
        **more: Any,
    ) -> AsyncIterator[Exchange]:
        """POST a chat request. target: the gateway by default. more: fields of the request."""
        async with exchange(
            target or self.gateway,
            "POST",
            CHAT,
            {**self.headers, **(headers or {})},
            self.body(**more) if body is None else body,
            receive_buffer_bytes=receive_buffer_bytes,
        ) as asked:
            yield asked

    async def fetch(self, *, limit_s: float = ANSWER_S, **more: Any) -> Reply:
        """POST a chat request and read its whole answer; parameters as `ask` has them."""
        try:
            async with asyncio.timeout(limit_s), self.ask(**more) as asked:
                return await asked.rest()
        except TimeoutError:
            raise FailedError(f"no end of the answer within {limit_s:g} s") from None

    async def play(self, *scripts: Script) -> None:
        await self.backends.play(*scripts)

    async def arrived(self, count: int = 1) -> None:
        """Wait until that many requests have reached the backends."""
        for _ in range(500):
            if len(await self.backends.attempts()) >= count:
                return
            await asyncio.sleep(0.02)
        raise FailedError("the request did not reach the backend within 10 s")

    async def fresh(self) -> None:
        """Forget the last check: no scripts, and the gateway uses every backend again.

        Gateways take a backend that failed out for a while. A gateway that never spreads its
        requests is found out at the first call and not waited for again.
        """
        await self.backends.reset()
        first = self._uses_all is None
        limit_s = self.options.ready_s if first else self.options.recover_s
        if self._is_dead:
            limit_s = _DEAD_S
        deadline = time.monotonic() + limit_s
        answered, reply = False, None
        while time.monotonic() < deadline:
            try:
                reply = await self.fetch(limit_s=limit_s)
                answered = reply.status == 200
            except (OSError, FailedError):
                answered = False
            used = {each["port"] for each in await self.backends.attempts()}
            if answered and (self._uses_all is False or len(used) == len(self.backends.ports)):
                break
            if answered and first:
                deadline = min(deadline, time.monotonic() + _SPREAD_S)
                first = False
            await asyncio.sleep(0.05 if answered else 0.2)
        self._is_dead = not answered
        if not answered:
            raise FailedError(f"the gateway does not answer before the check begins: {reply}")
        if self._uses_all is None:
            self._uses_all = len(used) == len(self.backends.ports)
        await self.backends.reset()

    def need_two(self) -> None:
        if len(self.backends.ports) < 2:
            raise SkippedError("needs two backends: give --backend-port twice")
