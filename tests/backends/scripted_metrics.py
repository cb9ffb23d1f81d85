"""What the scripted backend tells of its work, under vLLM's names. True until it is told to lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Metrics:
    """The numbers of /metrics.

    tokens: pieces of answers written so far.
    others: requests it pretends to have beside those that are there.
    waiting, kv_cache_use: as they are told.
    kv_blocks: of 16 tokens, in its KV cache; 0: it does not say.
    hidden: /metrics is a 404.
    """

    tokens: int = 0
    others: int = 0
    waiting: int = 0
    kv_cache_use: float = 0.0
    kv_blocks: int = 0
    hidden: bool = False

    def set(self, given: dict) -> None:
        """Lie like that; ValueError for what is none of the fields."""
        for name, value in given.items():
            if name not in ("others", "waiting", "kv_cache_use", "kv_blocks", "hidden"):
                raise ValueError(f"there is no metric {name!r}")
            setattr(self, name, value)

    def text(self, running: int) -> str:
        """The answer of /metrics. running: requests that are there."""
        labels = '{engine="0",model_name="m"}'
        cache = f'num_gpu_blocks="{self.kv_blocks}",block_size="16",enable_prefix_caching="True"'
        info = f"vllm:cache_config_info{{{cache}}} 1.0\n" if self.kv_blocks else ""
        return info + "".join(
            f"{name}{labels} {float(value)}\n"
            for name, value in (
                ("vllm:num_requests_running", running + self.others),
                ("vllm:num_requests_waiting", self.waiting),
                ("vllm:kv_cache_usage_perc", self.kv_cache_use),
                ("vllm:prompt_tokens_total", 0),
                ("vllm:generation_tokens_total", self.tokens),
                # As if each token took a millisecond, and each first one of ten took fifty.
                ("vllm:inter_token_latency_seconds_sum", self.tokens * 0.001),
                ("vllm:inter_token_latency_seconds_count", self.tokens),
                ("vllm:time_to_first_token_seconds_sum", self.tokens * 0.005),
                ("vllm:time_to_first_token_seconds_count", self.tokens // 10),
            )
        )
