"""How much the installed gateway takes: real requests through it to the real backends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from infergate.admin.gateway import Gateway
from infergate.errors import UserError
from infergate.health.model_kind import embeds
from infergate.live.drain import nginx_workers
from infergate.supervise.instance import running
from infergate.validate.client import asking
from infergate.validate.result import Failed, Result, checking

SUITE = "load"
_TIMEOUT_S = 120.0
_TELL_EVERY_S = 0.2


@dataclass(frozen=True)
class LoadWanted:
    """for_s: how long. clients: how many ask at a time. model: None is the first that is there."""

    for_s: float = 5.0
    clients: int = 4
    model: str | None = None
    max_tokens: int = 8


@dataclass(frozen=True)
class Asked:
    """One request. at_s: when it ended, from the beginning of the load; first_s: until its first
    token; took_s: until its end; problem: why it failed, or empty."""

    at_s: float
    took_s: float
    first_s: float | None
    problem: str = ""


@dataclass
class Load:
    """What was measured. cpu_s: CPU seconds of nginx's processes and of the control plane."""

    model: str
    clients: int
    took_s: float = 0.0
    cpu_s: float = 0.0
    requests: list[Asked] = field(default_factory=list)

    @property
    def good(self) -> list[Asked]:
        return [each for each in self.requests if not each.problem]

    @property
    def per_s(self) -> float:
        return len(self.good) / self.took_s if self.took_s else 0.0

    @property
    def problems(self) -> Counter[str]:
        return Counter(each.problem for each in self.requests if each.problem)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of them does not exceed. values: at least one."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered) + 0.5) - 1))]


def check_load(
    gateway: Gateway, key: str | None, wanted: LoadWanted, tell: Callable[[Load, float], None]
) -> tuple[list[Result], Load]:
    """tell: is given what there is so far, and the share of the time that is over.

    Raises UserError if the model is not there.
    """
    found: list[Result] = []
    load = Load(_model(gateway, key, wanted), wanted.clients)
    before, began = _cpu_s(gateway), time.monotonic()
    asyncio.run(_all(gateway, key, wanted, load, tell))
    load.took_s, load.cpu_s = time.monotonic() - began, _cpu_s(gateway) - before
    with checking(SUITE, f"requests.{load.model}", found) as verdict:
        if load.problems:
            worst = ", ".join(f"{count} x {why}" for why, count in load.problems.most_common(3))
            raise Failed(f"{load.problems.total()} of {len(load.requests)} failed: {worst}")
        verdict.said = in_words(load)
    return found, load


def in_words(load: Load) -> str:
    """The numbers of those that were answered."""
    if not load.good:
        return "nothing was answered"
    took = [each.took_s * 1000 for each in load.good]
    first = [each.first_s * 1000 for each in load.good if each.first_s is not None]
    said = f"{load.per_s:.1f} requests/s with {load.clients} clients"
    if first:
        said += f"; first token p50 {percentile(first, 0.5):.0f} ms"
        said += f", p99 {percentile(first, 0.99):.0f} ms"
    said += f"; whole p50 {percentile(took, 0.5):.0f} ms, p99 {percentile(took, 0.99):.0f} ms"
    return f"{said}; {load.cpu_s / len(load.good) * 1000:.2f} ms of CPU each"


def _model(gateway: Gateway, key: str | None, wanted: LoadWanted) -> str:
    with asking(gateway.loaded.config, key) as client:
        try:
            there = [str(each["id"]) for each in client.get("/v1/models").json()["data"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            there = []
    if wanted.model is None and there:
        return next((each for each in there if not embeds(each)), there[0])
    if wanted.model is None or wanted.model not in there:
        raise UserError(
            f"the gateway has no model {wanted.model or 'at all'}",
            where="--model",
            hint=f"There is: {', '.join(there) or 'none; see `infergate validate health`'}",
        )
    return wanted.model


async def _all(
    gateway: Gateway,
    key: str | None,
    wanted: LoadWanted,
    load: Load,
    tell: Callable[[Load, float], None],
) -> None:
    # The same address, name and certificate rules as of every other question.
    with asking(gateway.loaded.config, key) as plain:
        base, headers = plain.base_url, dict(plain.headers)
    limits = httpx.Limits(max_connections=wanted.clients)
    async with httpx.AsyncClient(
        base_url=base,
        headers=headers,
        verify=False,  # noqa: S501 - as in client.py
        timeout=_TIMEOUT_S,
        trust_env=False,
        limits=limits,
    ) as client:
        began = time.monotonic()

        async def one_client() -> None:
            while time.monotonic() - began < wanted.for_s:
                load.requests.append(await _ask(client, load.model, wanted.max_tokens, began))

        async def watch() -> None:
            while True:
                load.took_s = time.monotonic() - began
                tell(load, min(1.0, load.took_s / wanted.for_s))
                await asyncio.sleep(_TELL_EVERY_S)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(one_client() for _ in range(wanted.clients)))
        watching.cancel()
        tell(load, 1.0)


async def _ask(client: httpx.AsyncClient, model: str, max_tokens: int, began: float) -> Asked:
    start, first, problem = time.monotonic(), None, ""
    path, body = _question(model, max_tokens)
    try:
        async with client.stream("POST", path, json=body) as got:
            if got.is_success:
                async for line in got.aiter_lines():
                    if first is None and line.startswith("data: {"):
                        first = time.monotonic() - start
            else:
                problem = f"{got.status_code} {_why(await got.aread())}".strip()
    except httpx.HTTPError as failure:
        problem = type(failure).__name__
    now = time.monotonic()
    if problem:
        await asyncio.sleep(0.1)  # one that is refused at once is not asked as fast as it can be
    return Asked(now - began, now - start, first, problem)


def _question(model: str, max_tokens: int) -> tuple[str, dict[str, object]]:
    if embeds(model):
        return "/v1/embeddings", {"model": model, "input": "hello"}
    messages = [{"role": "user", "content": "Say hello."}]
    return "/v1/chat/completions", {
        **{"model": model, "messages": messages, "stream": True},
        "max_tokens": max_tokens,
    }


def _why(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return str(error["code"] or error["message"])[:60]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _cpu_s(gateway: Gateway) -> float:
    """CPU seconds so far of nginx's master and workers, and of the control plane."""
    processes = running(gateway.home)
    master = [processes.nginx, *nginx_workers(processes.nginx)] if processes.nginx else []
    pids = [pid for pid in (*master, processes.control) if pid is not None]
    return sum(_cpu_of(pid) for pid in pids)


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
