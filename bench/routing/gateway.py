"""Infergate's own choice of an engine in virtual time: its njs files under Node, its control
plane's functions, and a clock that is a number.

Not here: nginx, HTTP, queues, limits. What a first token is held for, and when an engine counts as
down, is done as Infergate does it, in few lines.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from bench.other_installs import NotInstalled
from bench.routing.policies import Look, Request, Router
from infergate.config.root import Config
from infergate.contract.live import Against, BreakerEntry
from infergate.control.engines import Engined, Engines
from infergate.control.learned import Learned, Lesson
from infergate.control.live import Live
from infergate.health.inventory import Inventory, ModelInfo
from infergate.health.load import LEAST, beside_ours, slow_start
from infergate.health.monitor import BackendStatus
from infergate.health.vitals import Vitals
from infergate.kinds import KINDS
from infergate.kinds.work import Work
from infergate.ledger.weighed import weighed
from infergate.paths import Home
from infergate.state.route import compile_route
from tests.cache import CACHE

_LOAD = re.compile(r" with \{ load: '\w+' \}")
_FOLDER = Path(__file__).parent


def node() -> str:
    """Raises NotInstalled."""
    ours = CACHE / "njs" / "bin" / "node"
    found = str(ours) if ours.exists() else shutil.which("node")
    if found is None:
        raise NotInstalled("Node.js runs njs' files here, and is not installed")
    return found


@dataclass
class _Sent:
    """Where a request went, when and why; first: when its first token came."""

    at: float
    backend: str
    why: str
    first: float | None = None


class Gateway(Router):
    """One gateway before engines e0, e1, …; model: more settings of each model."""

    holds_head = True

    def __init__(
        self, balance: str, engines: int, models: Sequence[str], kind: str, **model: Any
    ) -> None:
        self._kind, self._models = kind, models
        self._names = [f"e{at}" for at in range(engines)]
        self.config = Config.model_validate(
            {
                "backends": {
                    name: {"url": f"http://127.0.0.1:{9000 + at}", "engine": kind}
                    for at, name in enumerate(self._names)
                },
                "models": {
                    each: {"backends": self._names, "balance": balance, **model} for each in models
                },
            }
        )
        self.learned = Learned()
        self._sent: dict[int, _Sent] = {}
        self._statuses: list[BackendStatus] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ig-")
        folder = Path(self._folder.name)
        home = Home(folder)
        self._engines = Engines(
            home, Live(home.socket), lambda: self.config, lambda: self._statuses, self.learned
        )
        self._told: dict[str, dict[str, Any]] = {}
        self._facts: Engined = {}
        self._up: dict[str, float | None] = dict.fromkeys(self._names)
        """Since when it serves again; None if it was never down."""
        self._moved: dict[str, tuple[float, float]] = {}
        self._process = self._start(folder)
        self._tell_routes({})

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        for source in resources.files("infergate.nginx").joinpath("njs").iterdir():
            if source.name.endswith(".js"):
                (folder / source.name).write_text(_LOAD.sub("", source.read_text()))
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "gateway.mjs").write_text((_FOLDER / "gateway.js").read_text())
        breaker = self.config.breaker
        settings = {
            "mark_failed_ms": round(self.config.health.interval * 1000),
            "breaker": {
                "failures": breaker.failures,
                "error_rate": breaker.error_rate,
                "cooldown_ms": round(breaker.cooldown * 1000),
                "max_cooldown_ms": round(breaker.max_cooldown * 1000),
            },
            "snapshots": [],
        }
        command = (node(), folder / "gateway.mjs", folder, json.dumps(settings))
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def choose(self, request: Request, now: float, tried: Sequence[int]) -> int | None:
        names = "".join(f"{self._names[at]}," for at in tried)
        found = self._ask("send", now, request.body, number=request.number, tried=names)
        if found["backend"] is None:
            return None
        self._sent[request.number] = _Sent(now, found["backend"], found["why"])
        return self._names.index(found["backend"])

    def first(self, request: Request, now: float) -> None:
        self._ask("first", now, number=request.number)
        self._sent[request.number].first = now

    def ended(self, request: Request, now: float, hit: int | None = None) -> None:
        self._ask("ended", now, number=request.number)
        sent = self._sent.pop(request.number, None)
        found = None if sent is None else weighed(sent.why)
        if hit is None or sent is None or sent.first is None or found is None:
            return
        if its := found.terms.get(sent.backend):
            tokens, first_ms = request.turn.prompt_tokens, (sent.first - sent.at) * 1000
            answer = Lesson(
                sent.backend, request.turn.model, found.tokens, its, tokens, hit, first_ms
            )
            self.learned.saw(answer, now)

    def failed(self, request: Request, engine: int, now: float, *, silent: bool) -> None:
        model, status = request.turn.model, 504 if silent else 502
        self._ask("failed", now, backend=self._names[engine], status=status, model=model)

    def first_byte_s(self, request: Request) -> float:
        """As docs/routing.md has it of a stream."""
        if not KINDS[self._kind].keeps_loaded:
            return self.config.timeouts.maximum
        more = request.turn.prompt_tokens / 500 if len(request.body) > 65536 else 0.0
        return self.config.timeouts.default + more

    def look(self, looks: Sequence[Look], now: float) -> None:
        """A probe of each engine, and what the control plane makes of it."""
        in_flight = self._ask("zone", now, name="ig_inflight")
        breakers = self._ask("zone", now, name="ig_breakers")
        entries: list[tuple[str, str, object]] = []
        loads: dict[str, float] = {}
        self._statuses = [
            self._status(name, look, now) for name, look in zip(self._names, looks, strict=True)
        ]
        serving = [each for each in self._statuses if each.serves]
        busy = [in_flight.get(each.name, 0) for each in serving]
        for each in serving:
            ours = in_flight.get(each.name, 0)
            work = each.vitals.work
            others = max(0, work.requests - ours) if work is not None else 0
            loads[each.name] = beside_ours(work, ours, others, slow=each.state == "slow")
            if each.recovered_at is not None and busy:
                loads[each.name] += slow_start(
                    now - each.recovered_at, self.config.health.slow_start, sum(busy) / len(busy)
                )
        down = {each.name: Against.DOWN.value for each in self._statuses if not each.serves}
        told = {each: round(load, 1) for each, load in loads.items() if load >= LEAST}
        self._facts = self._engines.wanted(self._facts, told)
        facts = {name: json.dumps(value) for name, value in self._facts.items()}
        entries += self._changes("ig_backends", down)
        entries += self._changes("ig_load", told)
        entries += self._changes("ig_engines", facts)
        for name, text in breakers.items():
            is_well = name not in down and looks[self._names.index(name)].moves
            if is_well and json.loads(text)[BreakerEntry.UNTIL] <= now * 1000:
                entries.append(("ig_breakers", name, None))
                del breakers[name]
                break
        entries.append(("ig_inflight", "", 1 if down or told or breakers else None))
        self._ask("tell", now, entries=entries)
        if not KINDS[self._kind].keeps_loaded:
            self._tell_routes({each.name: each for each in self._statuses}, now)

    def _status(self, name: str, look: Look, now: float) -> BackendStatus:
        work = None
        if not look.dead and look.metrics:
            work = KINDS[self._kind].work["/metrics"](look.metrics)
        hung = self._is_hung(name, work, now)
        state = "down" if look.dead else "hung" if hung else "up"
        if state != "up":
            self._up[name] = -1.0
        elif self._up[name] == -1.0:
            self._up[name] = now
        said: dict[str, Any] = {
            **dict.fromkeys(BackendStatus.__dataclass_fields__),
            "name": name,
            "state": state,
            "kind": self._kind,
            "recovered_at": None if state != "up" else self._up[name],
            "vitals": Vitals(moved_at=0.0, work=work),
            "models": tuple(
                ModelInfo(each, loaded=each in look.loaded if look.loaded is not None else None)
                for each in self._models
            ),
        }
        return BackendStatus(**said)

    def _is_hung(self, name: str, work: Work | None, now: float) -> bool:
        made = float((work.generation_tokens or 0) + (work.prompt_tokens or 0)) if work else 0.0
        before, since = self._moved.get(name, (-1.0, now))
        if work is None or made != before or not work.requests:
            self._moved[name] = (made, now)
            return False
        return now - since > self.config.health.hung_after

    def _tell_routes(self, statuses: Mapping[str, BackendStatus], now: float = 0.0) -> None:
        inventories = {
            name: Inventory(self._kind, None, statuses[name].models if statuses else ())  # type: ignore[arg-type]
            for name in self._names
        }
        routes = {
            name: json.dumps(compile_route(self.config, name, model, inventories))
            for name, model in self.config.models.items()
        }
        if changed := self._changes("ig_routes", routes):
            self._ask("tell", now, entries=changed)

    def _changes(self, zone: str, wanted: Mapping[str, Any]) -> list[tuple[str, str, object]]:
        there = self._told.get(zone, {})
        self._told[zone] = dict(wanted)
        changed = [(zone, key, each) for key, each in wanted.items() if there.get(key) != each]
        return [*changed, *((zone, key, None) for key in there if key not in wanted)]

    def _ask(self, what: str, now: float, body: bytes = b"", **more: Any) -> Any:
        said = {"what": what, "now": round(now * 1000), "bytes": len(body), **more}
        head = json.dumps(said).encode()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(head).to_bytes(4, "big") + head + body)
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the gateway's njs ended with code {process.wait()}")
        return json.loads(line)
