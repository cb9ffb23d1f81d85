"""A model of one LLM engine, of vLLM's way: continuous batching, chunked prefill, a prefix cache.

Pure and deterministic: time is a number that is handed in. The fleet (fleet.py) moves it along with
a clock. Not modelled: preemption, speculative decoding, answers entering the cache, the tokenizer.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MOST_DECODE_STEPS = 64
"""Steps that only decode are taken together, so many at most: a new request ends them early."""


@dataclass(frozen=True)
class Hardware:
    """What an engine runs on. The defaults are Llama 3.1 8B (bf16 weights, fp8 KV cache) on an A100
    of 80 GB, from their data sheets: 312 TFLOP/s, 2.04 TB/s, 8.03e9 parameters, 32 layers of width
    4,096, 8 KV heads of 128.

    prefill_tokens_s: 2 · 8.03e9 operations a token; 8,000 tokens/s are 41 % of the 312 TFLOP/s.
    attention_tokens: a token's attention to `n` before it is 4 · 32 · 4096 · n operations: as many
        as all else after 30,600 of them; taken as 32,768.
    step_s: 16.1 GB of weights read at 2.04 TB/s are 7.9 ms; with kernel launches 10.
    context_token_s: 2 · 32 · 8 · 128 bytes of fp8 for each token of a sequence, read in each step.
    sequence_s: the scheduler's and sampler's share of one sequence in a step; an assumption.
    kv_tokens: (0.9 · 80 GB - 16 GB) / 65,536 bytes are 854,000; less activations.
    max_num_batched_tokens, max_num_seqs: vLLM's defaults on an A100 (vllm/engine/arg_utils.py).
    block_tokens: vLLM's are 16; larger ones save the benchmark's own CPU.
    slow: times as long for everything.
    models_in_memory: 0 is an engine that has its model; else so many of those that it loads when
        they are asked for, as Ollama does. load_s: how long that takes, by model.
    """

    prefill_tokens_s: float = 8000.0
    attention_tokens: float = 32_768.0
    step_s: float = 0.010
    context_token_s: float = 0.032e-6
    sequence_s: float = 0.0001
    kv_tokens: int = 800_000
    max_num_batched_tokens: int = 2048
    max_num_seqs: int = 256
    block_tokens: int = 64
    slow: float = 1.0
    models_in_memory: int = 0
    load_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def kv_blocks(self) -> int:
        return self.kv_tokens // self.block_tokens

    def prefill_s(self, start: int, end: int) -> float:
        """Seconds to read the tokens of a prompt from `start` to `end`."""
        between = (start + end) / 2
        return (end - start) / self.prefill_tokens_s * (1 + between / self.attention_tokens)


@dataclass(eq=False)
class Job:
    """One request at an engine; times in seconds of the engine's clock.

    blocks: chained hashes of the prompt's full blocks: an equal one is an equal prefix up to there.
    hit: tokens of it that were in the cache. The rest is the engine's own.
    """

    number: int
    blocks: Sequence[bytes]
    prompt_tokens: int
    output_tokens: int
    arrived_s: float
    model: str = ""
    hit: int = 0
    first_s: float | None = None
    ended_s: float | None = None
    read: int = 0
    pinned: list[bytes] = field(default_factory=list)
    reserved: int = 0
    decoded_from: int = 0


class Engine:
    """`submit` requests, and call `step` whenever `next_event` has come."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.busy_s = 0.0
        self.prompt_tokens = self.cached_tokens = self.generated_tokens = self.loads = 0
        self.reset()

    def reset(self) -> None:
        """Its process died: what it had, runs and knows is gone."""
        self.waiting: deque[Job] = deque()
        self.models: OrderedDict[str, None] = OrderedDict()
        """In memory, least recently used first."""
        self._loading: tuple[str, float] | None = None
        self._cached: OrderedDict[bytes, None] = OrderedDict()
        """Blocks that nobody uses, least recently used first."""
        self._pins: dict[bytes, int] = {}
        """Block → how many sequences use it."""
        self._reserved = 0
        self._reading: Job | None = None
        self._decoding: list[tuple[int, int, Job]] = []
        """A heap by the decode step at which each ends; the second number is nobody else's."""
        self._first_tokens = 0
        self._read_now: list[Job] = []
        """Their prompt is read to its end in the step under way."""
        self._decode_steps = 0
        self._context_tokens = 0
        self._step_began = self._step_s = 0.0
        self._steps = 0
        self._step_ends: float | None = None
        self._stalled_until = 0.0

    @property
    def running(self) -> int:
        return len(self._decoding) + (self._reading is not None) + len(self._read_now)

    @property
    def kv_usage(self) -> float:
        return min(1.0, self._held / self.hardware.kv_blocks)

    @property
    def _held(self) -> int:
        return self._reserved + len(self._pins)

    def next_event(self) -> float | None:
        """When the step under way ends; None while there is nothing to do."""
        return self._step_ends

    def submit(self, job: Job, now: float) -> None:
        self.waiting.append(job)
        if self._step_ends is None:
            self._begin(now)
        elif self._steps > 1:  # the request is looked at when the step under way ends
            done = int((now - self._step_began) / self._step_s) + 1
            self._steps = min(self._steps, max(1, done))
            ends = self._step_began + self._steps * self._step_s
            self._step_ends = max(ends, self._stalled_until)

    def cancel(self, job: Job) -> None:
        """The client left: it does not wait any more; if it runs, it ends with its next token."""
        if job in self.waiting:
            self.waiting.remove(job)
            return
        for at, (_, place, each) in enumerate(self._decoding):
            if each is job:
                self._decoding[at] = (self._decode_steps, place, each)
                heapq.heapify(self._decoding)
        job.output_tokens = 1

    def stall(self, until: float) -> None:
        """No step ends before."""
        self._stalled_until = until
        if self._step_ends is not None:
            self._step_ends = max(self._step_ends, until)

    def step(self) -> tuple[list[Job], list[Job]]:
        """The step under way ends: who has the first token now, and who the last."""
        assert self._step_ends is not None
        now, first, ended = self._step_ends, self._read_now, []
        self.busy_s += self._steps * self._step_s
        self._decode_steps += self._steps
        decoding = len(self._decoding)
        self._context_tokens += decoding * self._steps
        self.generated_tokens += decoding * self._steps
        for job in first:
            job.first_s = now
            self.generated_tokens += 1
            self.prompt_tokens += job.prompt_tokens
            self.cached_tokens += job.hit
            self._keep(job)
            last = self._decode_steps + job.output_tokens - 1
            self._first_tokens += 1
            heapq.heappush(self._decoding, (last, self._first_tokens, job))
            self._context_tokens += job.prompt_tokens
            job.decoded_from = self._decode_steps
        while self._decoding and self._decoding[0][0] <= self._decode_steps:
            job = heapq.heappop(self._decoding)[2]
            job.ended_s = now
            self._context_tokens -= job.prompt_tokens + self._decode_steps - job.decoded_from
            self._free(job)
            ended.append(job)
        self._read_now = []
        self._begin(now)
        return first, ended

    def _begin(self, now: float) -> None:
        """Plan the next step: a token for each that decodes, and prompts as far as they fit."""
        self._load(now)
        hardware, decoding = self.hardware, len(self._decoding)
        budget, cost_s = hardware.max_num_batched_tokens - decoding, 0.0
        while budget > 0:
            job = self._reading = self._reading or self._admit()
            if job is None:
                break
            end = min(job.prompt_tokens, job.read + budget)
            cost_s += hardware.prefill_s(job.read, end)
            budget -= end - job.read
            job.read = end
            if end == job.prompt_tokens:
                self._read_now.append(job)
                self._reading = None
        self._step_began = now
        if cost_s == 0 and not decoding:
            self._steps, self._step_s = 0, 0.0
            self._step_ends = self._loading[1] if self._loading else None
            return
        self._step_s = hardware.slow * (
            hardware.step_s
            + cost_s
            + decoding * hardware.sequence_s
            + self._context_tokens * hardware.context_token_s
        )
        to_next_end = self._decoding[0][0] - self._decode_steps if decoding else 1
        self._steps = 1 if cost_s else max(1, min(to_next_end, MOST_DECODE_STEPS))
        self._step_ends = max(now + self._steps * self._step_s, self._stalled_until)

    def _admit(self) -> Job | None:
        """The next in the queue, if there is room for all of its tokens."""
        if not self.waiting or self.running >= self.hardware.max_num_seqs:
            return None
        job = self.waiting[0]
        if self.hardware.models_in_memory and job.model not in self.models:
            return None
        size = self.hardware.block_tokens
        # The last token is always computed, for its logits (vLLM's kv_cache_manager.py).
        found = min(self._match(job.blocks), (job.prompt_tokens - 1) // size)
        known = job.blocks[:found]
        reserved = -(-(job.prompt_tokens + job.output_tokens) // size) - found
        newly_used = sum(1 for block in known if block not in self._pins)
        if self._held and self._held + newly_used + reserved > self.hardware.kv_blocks:
            return None
        self.waiting.popleft()
        if job.model in self.models:
            self.models.move_to_end(job.model)
        for block in known:
            self._cached.pop(block, None)
            self._pins[block] = self._pins.get(block, 0) + 1
        job.pinned, job.reserved = list(known), reserved
        job.hit = job.read = found * size
        self._reserved += reserved
        self._evict()
        return job

    def _load(self, now: float) -> None:
        """The model of the next request, once one that nobody uses can go for it. Those behind it
        wait, as in Ollama's scheduler (server/sched.go, processPending)."""
        if self._loading and self._loading[1] <= now:
            self.models[self._loading[0]] = None
            self._loading = None
        room, queue = self.hardware.models_in_memory, self.waiting
        if not room or not queue or self._loading or queue[0].model in self.models:
            return
        if len(self.models) >= room:
            in_use = {job.model for _, _, job in self._decoding}
            in_use |= {self._reading.model} if self._reading else set()
            victim = next((each for each in self.models if each not in in_use), None)
            if victim is None:
                return
            del self.models[victim]
            mark = victim.encode() + b"/"
            for block in [each for each in self._cached if each.startswith(mark)]:
                del self._cached[block]
        model = queue[0].model
        self._loading = (model, now + self.hardware.load_s.get(model, 0.0))
        self.loads += 1

    def _match(self, blocks: Sequence[bytes]) -> int:
        for at, block in enumerate(blocks):
            if block not in self._pins and block not in self._cached:
                return at
        return len(blocks)

    def _keep(self, job: Job) -> None:
        """Its prompt's blocks can be found from now on."""
        new = [each for each in job.blocks[len(job.pinned) :] if each not in self._pins]
        for block in new:
            self._cached.pop(block, None)
            self._pins[block] = 1
        job.pinned += new
        job.reserved -= len(new)
        self._reserved -= len(new)

    def _free(self, job: Job) -> None:
        """Its blocks stay in the cache until their room is needed: a prompt's end goes first."""
        self._reserved -= job.reserved
        for block in reversed(job.pinned):
            self._pins[block] -= 1
            if not self._pins[block]:
                del self._pins[block]
                self._cached[block] = None
        self._evict()

    def _evict(self) -> None:
        while self._cached and len(self._cached) + self._held > self.hardware.kv_blocks:
            self._cached.popitem(last=False)
