"""Each backend, asked as the gateway asks it: whether it answers, and if not, why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from infergate.config.backends import NOWHERE, Backend
from infergate.config.root import Config
from infergate.hardening.backends import listening_addresses
from infergate.hardening.check import Check, bad, good, unknown
from infergate.health.ask import (
    NoAnswer,
    OurFault,
    ProbeAnswer,
    ProbeClient,
    Target,
    get,
    make_client,
)
from infergate.health.probe import NOT_FOUND, Unreadable, identify, list_models, probe
from infergate.kinds import KINDS, OTHER
from infergate.supervise.notify import in_container

_TIMEOUT_S = 5.0
_AT_ONCE = 20
_SKEW_S = 30.0
"""Of whole seconds in a Date header, after seconds on the way, still a clock that is wrong."""
_PLAIN_TO_TLS = (b"HTTP request was sent to HTTPS", b"HTTP request to an HTTPS server")
"""How nginx and Go's net/http answer plain HTTP at a port of https; others hang up."""


def check_backends(config: Config) -> Iterator[Check]:
    """One check for each, and one of their clocks."""
    asked = {name: each for name, each in config.backends.items() if each.url != NOWHERE}
    found = asyncio.run(_all(asked))
    for name in asked:
        yield found[name][0]
    yield from _clocks({name: skew_s for name, (_, skew_s) in found.items() if skew_s is not None})


async def _all(backends: Mapping[str, Backend]) -> dict[str, tuple[Check, float | None]]:
    turn = asyncio.Semaphore(_AT_ONCE)
    clients = {
        each: make_client(verify_tls=each) for each in {b.verify_tls for b in backends.values()}
    }

    async def one(name: str, backend: Backend) -> tuple[Check, float | None]:
        async with turn:
            patient = _Patient(name, backend, clients[backend.verify_tls])
            try:
                return await patient.examined(), patient.skew_s
            except OurFault as problem:
                return unknown(f"backend.{name}", f"{name} could not be asked: {problem}"), None

    checks = await asyncio.gather(*(one(name, each) for name, each in backends.items()))
    return dict(zip(backends, checks, strict=True))


class _Patient:
    """One backend. skew_s: how far its clock is ahead of ours, once it has answered."""

    def __init__(self, name: str, backend: Backend, client: ProbeClient) -> None:
        self._name, self._backend, self._client = name, backend, client
        self._target = Target.of(backend, _TIMEOUT_S)
        self.skew_s: float | None = None

    async def examined(self) -> Check:
        """What is wrong with it, the first thing that explains the others; or that nothing is."""
        kind = self._target.kind
        answer = await self._ask(self._target, KINDS[kind or OTHER].models_path)
        if isinstance(answer, NoAnswer):
            return await self._silent(answer)
        if any(each in answer.body for each in _PLAIN_TO_TLS):
            return self._bad("its port speaks https, and the URL says http", self._cured("https"))
        if answer.status in (401, 403):
            return self._key(answer)
        if 300 <= answer.status < 400:
            to = answer.headers.get("location", "")
            return self._bad(
                f"answers with a redirect to {to[:200]}", "Write the URL that it leads to."
            )
        if answer.status != 200 and (further := await self._further_up()):
            return further
        return await self._dialect(answer)

    async def _ask(self, target: Target, path: str) -> ProbeAnswer | NoAnswer:
        answer = await get(self._client, target, path)
        if isinstance(answer, ProbeAnswer) and (date := answer.headers.get("date")):
            try:
                self.skew_s = parsedate_to_datetime(date).timestamp() - time.time()
            except (ValueError, OverflowError):
                self.skew_s = None
        return answer

    async def _silent(self, answer: NoAnswer) -> Check:
        other = "http" if self._backend.scheme == "https" else "https"
        # Without the key: it is for the address that the file has.
        target = replace(self._target, root_url=self._root(other), headers=())
        if not isinstance(await get(make_client(verify_tls=False), target, "/health"), NoAnswer):
            said = f"its port speaks {other}, and the URL says {self._backend.scheme}"
            return self._bad(said, self._cured(other))
        return self._bad(answer.reason, self._cure_of(answer.reason))

    def _cure_of(self, reason: str) -> str:
        host, port = self._backend.host, self._backend.port
        if "resolve" in reason:
            return (
                f"`getent hosts {host}` asks as the gateway does; write the address, or mend DNS."
            )
        if "not trusted" in reason:
            return "Install its authority on this machine, or write `verify_tls: false`."
        if _is_loopback(host) and in_container() and port not in (listening_addresses() or {}):
            return (
                "Start it; or, if it runs outside of this container, write host.docker.internal "
                f"or the name of its container instead of {host}."
            )
        if "refused" in reason:
            return (
                f"Start the engine there, or write the port that it listens on instead of {port}."
            )
        return f"`curl -v {self._backend.root_url}` shows what stands between: a firewall, a VPN."

    def _key(self, answer: ProbeAnswer) -> Check:
        if self._backend.api_key is None:
            what = f"wants a key (HTTP {answer.status}), and it has none here"
            return self._bad(what, f"Write `api_key: ${{NAME}}` under {self._name}.")
        return self._bad(
            f"refuses the key that it is given (HTTP {answer.status})",
            "Set the variable that api_key names to the engine's key, then `infergate apply`.",
        )

    async def _further_up(self) -> Check | None:
        """Whether it answers without the end of the URL's path."""
        path = urlsplit(self._backend.url).path.rstrip("/").removesuffix("/v1")
        while path:
            cut = path.rpartition("/")[0]
            root = self._target.root_url.removesuffix(self._backend.path_prefix) + cut
            answer = await self._ask(replace(self._target, root_url=root), "/v1/models")
            if isinstance(answer, ProbeAnswer) and answer.status in (200, 401, 403):
                what = f"the URL has a path too many: {path.removeprefix(cut)}"
                return self._bad(what, f"Write {root}")
            path = cut
        return None

    async def _dialect(self, answer: ProbeAnswer) -> Check:
        said = self._target.kind
        known = await identify(self._client, replace(self._target, kind=None))
        is_page = "html" in answer.headers.get("content-type", "")
        if said not in (None, "openai") and known not in (None, said):
            probed = await probe(self._client, self._target)
            if not probed.ok or answer.status in NOT_FOUND:
                known_name = KINDS[known or OTHER].title
                what = f"the file says engine: {said}, and it is {known_name}"
                return self._bad(what, f"Write `engine: {known}`, or leave engine out.")
        if is_page and known == "openai":
            return self._bad(
                "answers with a web page: this is no engine's API",
                "Write the port of the engine's API, not that of its user interface.",
            )
        models = await list_models(self._client, replace(self._target, kind=known))
        if isinstance(models, Unreadable) and self._backend.models is None:
            return self._bad(
                f"does not list its models: {models.reason}",
                f"Write what it has under {self._name}: models: [NAME].",
            )
        if not isinstance(models, Unreadable) and not models.models:
            return bad(
                f"backend.{self._name}", "medium", f"{self._name}: it has no model",
                "Load one: `ollama pull NAME`, or the engine's --model.",
            )  # fmt: skip
        name = KINDS[known or OTHER].title
        return good(f"backend.{self._name}", "high", f"{self._name} answers ({name})")

    def _root(self, scheme: str) -> str:
        return f"{scheme}://" + self._target.root_url.partition("://")[2]

    def _cured(self, scheme: str) -> str:
        return f"Write {self._root(scheme)}"

    def _bad(self, what: str, mend: str) -> Check:
        where = f"{self._name} ({self._backend.url})"
        return bad(f"backend.{self._name}", "high", f"{where}: {what}", mend)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _clocks(skews_s: Mapping[str, float]) -> Iterator[Check]:
    """By the Date of answers: where most agree that ours is wrong, it is ours."""
    wrong = {name: skew_s for name, skew_s in skews_s.items() if abs(skew_s) > _SKEW_S}
    if skews_s and not wrong:
        yield good("clock.backends", "medium", "the clock agrees with the backends'")
    elif wrong and len(wrong) > len(skews_s) / 2:
        name, skew_s = next(iter(wrong.items()))
        side = "behind" if skew_s > 0 else "ahead of"
        yield bad(
            "clock.backends",
            "medium",
            f"the clock of this machine is {abs(skew_s):,.0f} s {side} that of {name}",
            "`timedatectl set-ntp true`, here and there: certificates, keys and budgets go by it.",
        )
    else:
        for name, skew_s in wrong.items():
            side = "ahead" if skew_s > 0 else "behind"
            what = f"the clock of {name} is {abs(skew_s):,.0f} s {side}"
            yield bad(f"clock.{name}", "low", what, "`timedatectl set-ntp true` on its machine.")
