"""Each model."""

from __future__ import annotations

from tests.grafana.panel import RATE, Dashboard, Panel

BY_MODEL = "{{gen_ai_request_model}}"
MODEL = 'gen_ai_request_model=~"$model"'

MODELS = Dashboard(
    "infergate-models",
    "Infergate: models",
    "Each model: how much, how fast, how well.",
    (
        Panel(
            "Requests",
            "Answered or not.",
            "reqps",
            [
                (
                    "sum by (gen_ai_request_model)"
                    f" (rate(infergate_requests_total{{{MODEL}}}{RATE}))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "Error rate",
            "5xx, or no answer at all.",
            "percentunit",
            [
                (
                    "sum by (gen_ai_request_model) (rate(infergate_requests_total"
                    f'{{{MODEL},status=~"5xx|0xx"}}{RATE})) / on (gen_ai_request_model) sum by '
                    f"(gen_ai_request_model) (rate(infergate_requests_total{{{MODEL}}}{RATE}))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "Average latency",
            "Of requests that a backend had.",
            "s",
            [
                (
                    f"sum by (gen_ai_request_model)"
                    f" (rate(gen_ai_server_request_duration_seconds_sum{{{MODEL}}}{RATE}))"
                    f" / sum by (gen_ai_request_model)"
                    f" (rate(gen_ai_server_request_duration_seconds_count{{{MODEL}}}{RATE}))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "p95 latency",
            "One request in twenty takes longer.",
            "s",
            [
                (
                    "histogram_quantile(0.95, sum by (gen_ai_request_model, le)"
                    f" (rate(gen_ai_server_request_duration_seconds_bucket{{{MODEL}}}{RATE})))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "First token, p95",
            "Of streams: until the first piece of the answer, the queue included.",
            "s",
            [
                (
                    "histogram_quantile(0.95, sum by (gen_ai_request_model, le)"
                    f" (rate(gen_ai_server_time_to_first_token_seconds_bucket{{{MODEL}}}{RATE})))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "First byte, p95",
            "Of good answers: until the backend sent its head, the queue included.",
            "s",
            [
                (
                    "histogram_quantile(0.95, sum by (gen_ai_request_model, le)"
                    f" (rate(infergate_time_to_first_byte_seconds_bucket{{{MODEL}}}{RATE})))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "Time per token of the answer, p95",
            "Without the queue.",
            "s",
            [
                (
                    "histogram_quantile(0.95, sum by (gen_ai_request_model, le)"
                    f" (rate(infergate_time_per_output_token_seconds_bucket{{{MODEL}}}{RATE})))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "Tokens read",
            "Of prompts, the cached ones too.",
            "short",
            [
                (
                    f"sum by (gen_ai_request_model) (rate(infergate_tokens_total"
                    f'{{{MODEL},gen_ai_token_type="input"}}{RATE}))',
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "Tokens written",
            "Of answers.",
            "short",
            [
                (
                    f"sum by (gen_ai_request_model) (rate(infergate_tokens_total"
                    f'{{{MODEL},gen_ai_token_type="output"}}{RATE}))',
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "Wait in the queue, p95",
            "0.01 s is the lowest that is told.",
            "s",
            [
                (
                    "histogram_quantile(0.95, sum by (gen_ai_request_model, le)"
                    f" (rate(infergate_queue_wait_seconds_bucket{{{MODEL}}}{RATE})))",
                    BY_MODEL,
                )
            ],
        ),
        Panel(
            "Sent elsewhere",
            "Retries, fallbacks to another model, hedges.",
            "reqps",
            [
                (
                    f"sum by (gen_ai_request_model, kind) (rate(infergate_reroutes_total{{{MODEL}}}"
                    f"{RATE}))",
                    f"{BY_MODEL} {{{{kind}}}}",
                )
            ],
        ),
        Panel(
            "Kept answers",
            "Where a model has a cache.",
            "reqps",
            [
                (
                    f"sum by (result) (rate(infergate_cache_requests_total{{{MODEL}}}{RATE}))",
                    "{{result}}",
                )
            ],
        ),
        Panel(
            "Clients that left",
            "Before the answer was there to its end.",
            "reqps",
            [
                (
                    "sum by (gen_ai_request_model)"
                    f" (rate(infergate_incomplete_answers_total{{{MODEL}}}{RATE}))",
                    BY_MODEL,
                )
            ],
        ),
    ),
    (("model", "gen_ai_request_model", "infergate_requests_total"),),
)
