"""What an engine says of its own work: requests, KV cache, tokens. Pure: text in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from infergate.health.engines import Kind

_LARGEST = 2.0**53
"""Of a sum that an engine tells: what a float still holds exactly."""


class Timed(NamedTuple):
    """What was measured since the engine started: seconds, added up, and how often."""

    seconds: float
    times: int


@dataclass(frozen=True)
class Work:
    """One reading of an engine's work. None: it does not say.

    running, waiting: requests it works on, and those in its own queue.
    kv_cache_use: 0 to 1.
    generation_tokens, prompt_tokens: since it started.
    first_tokens: how long they took to come; tokens: how long each that follows took.
    pulse: numbers of which one changes whenever the engine produces something; empty if it has
        none that are fit for that.
    """

    running: int | None = None
    waiting: int | None = None
    kv_cache_use: float | None = None
    generation_tokens: int | None = None
    prompt_tokens: int | None = None
    pulse: tuple[float, ...] = ()
    first_tokens: Timed | None = None
    tokens: Timed | None = None

    @property
    def requests(self) -> int:
        """What it works on and what waits there, as far as it says."""
        return (self.running or 0) + (self.waiting or 0)


_Pair = tuple[str, str]
"""The metrics that are the seconds and the count of something."""


@dataclass(frozen=True)
class _Names:
    """The metrics of one kind. Of several names for a thing, the first that is there counts."""

    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    kv_cache_use: tuple[str, ...] = ()
    generation_tokens: tuple[str, ...] = ()
    prompt_tokens: tuple[str, ...] = ()
    pulse: tuple[str, ...] = ()
    first_tokens: tuple[_Pair, ...] = ()
    tokens: tuple[_Pair, ...] = ()

    @property
    def all(self) -> frozenset[str]:
        requests = (*self.running, *self.waiting, *self.kv_cache_use)
        timed = [name for pair in (*self.first_tokens, *self.tokens) for name in pair]
        return frozenset(
            (*requests, *self.generation_tokens, *self.prompt_tokens, *self.pulse, *timed)
        )


def _histogram(name: str) -> _Pair:
    return f"{name}_sum", f"{name}_count"


_NAMES: Mapping[Kind, _Names] = MappingProxyType(
    {
        # The second name of the KV cache's is an older vLLM's. It is part of the pulse because the
        # token counters stand still while a long prompt is read in pieces.
        "vllm": _Names(
            running=("vllm:num_requests_running",),
            waiting=("vllm:num_requests_waiting",),
            kv_cache_use=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
            generation_tokens=("vllm:generation_tokens_total",),
            prompt_tokens=("vllm:prompt_tokens_total",),
            pulse=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
            first_tokens=(_histogram("vllm:time_to_first_token_seconds"),),
            tokens=(
                _histogram("vllm:inter_token_latency_seconds"),
                _histogram("vllm:time_per_output_token_seconds"),  # until 0.10
            ),
        ),
        # The token counters move when a request is finished; what its scheduler logs every 40
        # steps (--decode-log-interval) moves while one runs.
        "sglang": _Names(
            running=("sglang:num_running_reqs",),
            waiting=("sglang:num_queue_reqs",),
            kv_cache_use=("sglang:token_usage",),
            generation_tokens=("sglang:generation_tokens_total",),
            prompt_tokens=("sglang:prompt_tokens_total",),
            pulse=(
                "sglang:realtime_tokens_total",
                "sglang:num_used_tokens",
                "sglang:token_usage",
                "sglang:gen_throughput",
            ),
            first_tokens=(_histogram("sglang:time_to_first_token_seconds"),),
            tokens=(
                _histogram("sglang:inter_token_latency_seconds"),
                _histogram("sglang:time_per_output_token_seconds"),
            ),
        ),
        # tokens_predicted_total moves when a request is finished, n_decode_total with every batch.
        # Recent builds have no kv_cache_usage_ratio.
        "llamacpp": _Names(
            running=("llamacpp:requests_processing",),
            waiting=("llamacpp:requests_deferred",),
            kv_cache_use=("llamacpp:kv_cache_usage_ratio",),
            generation_tokens=("llamacpp:tokens_predicted_total",),
            prompt_tokens=("llamacpp:prompt_tokens_total",),
            pulse=("llamacpp:n_decode_total",),
            tokens=(
                ("llamacpp:tokens_predicted_seconds_total", "llamacpp:tokens_predicted_total"),
            ),
        ),
        "tei": _Names(
            waiting=("te_queue_size",),
            pulse=("te_request_success", "te_embed_success", "te_predict_success"),
        ),
    }
)


def read_metrics(kind: Kind, text: str) -> Work | None:
    """The work told by an answer of /metrics; None if it tells nothing that is known here.

    Values of one name (vLLM has one for each engine and model) are added up, but the KV cache's
    are averaged.
    """
    names = _NAMES.get(kind)
    if names is None:
        return None
    values = _values(text, names.all)
    if not values:
        return None
    kv_cache_use = _first(values, names.kv_cache_use)
    return Work(
        running=_count(_first(values, names.running)),
        waiting=_count(_first(values, names.waiting)),
        kv_cache_use=None
        if kv_cache_use is None
        else round(min(1.0, max(0.0, sum(kv_cache_use) / len(kv_cache_use))), 4),
        generation_tokens=_count(_first(values, names.generation_tokens)),
        prompt_tokens=_count(_first(values, names.prompt_tokens)),
        pulse=tuple(
            sum(values[name])
            for name in (*names.generation_tokens, *names.prompt_tokens, *names.pulse)
            if name in values
        ),
        first_tokens=_timed(values, names.first_tokens),
        tokens=_timed(values, names.tokens),
    )


def read_slots(body: Any) -> Work | None:
    """The work told by llama.cpp's /slots, which is there without --metrics; None if it is not.

    It says nothing of a queue. The prompts that old builds write there are not kept.
    """
    if not isinstance(body, list) or not all(isinstance(slot, dict) for slot in body):
        return None
    busy = [slot for slot in body if slot.get("is_processing") is True]
    return Work(
        running=len(busy),
        pulse=tuple(number for slot in busy for number in _progress(slot)),
    )


def _progress(slot: Mapping[str, Any]) -> Iterable[float]:
    following = slot.get("next_token")
    following = following[0] if isinstance(following, list) and following else following
    decoded = following.get("n_decoded") if isinstance(following, dict) else None
    for value in (slot.get("id_task"), slot.get("n_prompt_tokens_processed"), decoded):
        yield value if isinstance(value, int) else -1


def _values(text: str, wanted: frozenset[str]) -> dict[str, list[float]]:
    """The values of the wanted metrics, by name.

    Only their lines are parsed: vLLM writes 600, of which six matter. That takes 0.2 ms, and all
    of them 7.7 ms (prometheus_client 0.26, one core of a small machine).
    """
    lines = [line for line in text.splitlines() if _name_of(line) in wanted]
    values: dict[str, list[float]] = {}
    try:
        for family in text_string_to_metric_families("\n".join([*lines, ""])):
            for sample in family.samples:
                if math.isfinite(sample.value):
                    values.setdefault(sample.name, []).append(sample.value)
    except (ValueError, IndexError):  # the library's answers to what is no exposition format
        return {}
    return values


def _name_of(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]


def _first(values: Mapping[str, list[float]], names: Iterable[str]) -> list[float] | None:
    return next((values[name] for name in names if name in values), None)


def _timed(values: Mapping[str, list[float]], pairs: Iterable[_Pair]) -> Timed | None:
    for seconds, count in pairs:
        if seconds in values and count in values:
            taken_s = min(sum(values[seconds]), _LARGEST)
            return Timed(max(0.0, round(taken_s, 6)), _count(values[count]) or 0)
    return None


def _count(values: list[float] | None) -> int | None:
    return None if values is None else max(0, round(min(sum(values), _LARGEST)))
