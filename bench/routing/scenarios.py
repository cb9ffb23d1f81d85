"""The workloads that routers are compared on, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.routing.engine import Hardware
from bench.routing.fleet import Fault
from bench.routing.prompts import Chain
from bench.routing.traces import read
from bench.routing.workloads import (
    AGENTIC,
    BOXES,
    CONVERSATION,
    SYNTHETIC,
    Workload,
    agents,
    conversations,
)

A100 = Hardware()
BOX = Hardware(
    prefill_tokens_s=2000.0,
    step_s=0.025,
    kv_tokens=64_000,
    max_num_batched_tokens=512,
    max_num_seqs=4,
    models_in_memory=2,
    load_s={f"m{number}": 10.0 + 6.0 * number for number in range(6)},
)
"""A box with one consumer's GPU and Ollama's defaults (batches of 512, four answers at once); its
speed is an assumption. Models load in 10 to 40 s, and two are in memory."""


@dataclass(frozen=True)
class Scenario:
    """load: of what the engines can do (workloads.work_s); sessions: at once, in a closed loop.

    window_s: requests are sent so long; those of the first warm_s fill the caches and do not count.
    slow: engine → times as long. most_scale: of the clock, where routers count in real seconds.
    trace: a file instead of the workload, its arrivals `rate` times faster.
    """

    name: str
    workload: Workload
    engines: int
    load: float = 0.0
    sessions: int = 0
    hardware: Hardware = A100
    kind: str = "vllm"
    slow: Mapping[int, float] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    window_s: float = 400.0
    warm_s: float = 100.0
    most_scale: float = 1000.0
    trace: Path | None = None
    rate: float = 1.0

    def traffic(self, seed: int) -> list[Chain]:
        if self.trace:
            return read(self.trace, rate=self.rate, seconds=self.window_s * self.rate)
        if self.sessions:
            return agents(self.workload, self.sessions, self.window_s, seed)
        return conversations(
            self.workload, self.hardware, self.engines, self.load, self.window_s, seed
        )

    def times(self, rate: float) -> Scenario:
        """With so many times the traffic."""
        sessions = max(1, round(self.sessions * rate)) if self.sessions else 0
        return replace(self, load=self.load * rate, sessions=sessions, rate=rate)

    def short(self) -> Scenario:
        """Half of the time, with half of the warm-up; faults come as much earlier."""
        faults = tuple(replace(each, at_s=each.at_s / 2) for each in self.faults)
        halves = {"window_s": self.window_s / 2, "warm_s": self.warm_s / 2}
        return replace(self, faults=faults, **halves)


_SLOW = {0: 3.0}
_FLAPS = tuple(Fault(4, "death", 120.0 + 30.0 * number, 10.0) for number in range(8))
"""Gone for 10 s of each 30."""

TWELVE = (
    Scenario("conversation-8-60", CONVERSATION, 8, 0.60),
    Scenario("conversation-8-80", CONVERSATION, 8, 0.80),
    Scenario("conversation-8-95", CONVERSATION, 8, 0.95),
    Scenario("conversation-4-80", CONVERSATION, 4, 0.80),
    Scenario("conversation-2-80", CONVERSATION, 2, 0.80, window_s=800.0, warm_s=150.0),
    Scenario("synthetic-8-80", SYNTHETIC, 8, 0.80),
    Scenario("synthetic-4-95", SYNTHETIC, 4, 0.95),
    Scenario("agentic-8", AGENTIC, 8, sessions=40, window_s=600.0, warm_s=150.0),
    Scenario("agentic-4", AGENTIC, 4, sessions=24, window_s=600.0, warm_s=150.0),
    Scenario("slow-8-70", CONVERSATION, 8, 0.70, slow=_SLOW),
    Scenario("small-cache-8-80", CONVERSATION, 8, 0.80, hardware=replace(A100, kv_tokens=400_000)),
    Scenario("boxes-4", BOXES, 4, 0.50, hardware=BOX, kind="ollama", most_scale=10.0),
)
"""Of these the geometric mean is taken."""

FAULTS = (
    Scenario("stall-8-70", CONVERSATION, 8, 0.70, faults=(Fault(1, "stall", 150.0, 120.0),)),
    Scenario("death-8-70", CONVERSATION, 8, 0.70, faults=(Fault(2, "death", 150.0, 60.0),)),
    Scenario("flapping-8-70", CONVERSATION, 8, 0.70, faults=_FLAPS),
    Scenario("joining-8-70", CONVERSATION, 8, 0.70, faults=(Fault(3, "death", 0.0, 200.0),)),
)
"""What becomes of users when an engine does not answer, or is gone."""

SCENARIOS = {each.name: each for each in (*TWELVE, *FAULTS)}
