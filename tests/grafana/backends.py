"""Each backend and engine."""

from __future__ import annotations

from tests.grafana.panel import RATE, Dashboard, Panel

BACKEND = 'backend=~"$backend"'

TOKEN_TIME = "infergate_backend_time_per_output_token_seconds"

BACKENDS = Dashboard(
    "infergate-backends",
    "Infergate: backends",
    "Each backend, whatever its engine.",
    (
        Panel(
            "Up",
            "Gets requests like any other.",
            "short",
            [(f"infergate_backend_up{{{BACKEND}}}", "{{backend}}")],
            "number",
            12,
        ),
        Panel(
            "By engine",
            "How many are up.",
            "short",
            [
                (
                    f"sum by (engine) (infergate_backend_up{{{BACKEND}}} * on (instance, backend)"
                    " group_left (engine) infergate_backend_info)",
                    "{{engine}}",
                )
            ],
            "number",
            12,
        ),
        Panel(
            "In flight",
            "Our requests there.",
            "short",
            [(f"infergate_in_flight_requests{{{BACKEND}}}", "{{backend}}")],
        ),
        Panel(
            "Running and waiting",
            "By the engine's own word, of everybody.",
            "short",
            [
                (f"infergate_backend_running_requests{{{BACKEND}}}", "{{backend}} running"),
                (f"infergate_backend_waiting_requests{{{BACKEND}}}", "{{backend}} waiting"),
            ],
        ),
        Panel(
            "KV cache",
            "How full, by the engine's own word.",
            "percentunit",
            [(f"infergate_backend_kv_cache_used_ratio{{{BACKEND}}}", "{{backend}}")],
        ),
        Panel(
            "Tokens written",
            "By the engine's own word, for everybody.",
            "short",
            [
                (
                    f"rate(infergate_backend_generation_tokens_total{{{BACKEND}}}{RATE})",
                    "{{backend}}",
                )
            ],
        ),
        Panel(
            "First token, average",
            "By the engine's own word.",
            "s",
            [
                (
                    f"rate(infergate_backend_time_to_first_token_seconds_sum{{{BACKEND}}}{RATE})"
                    " / rate(infergate_backend_time_to_first_token_seconds_count"
                    f"{{{BACKEND}}}{RATE})",
                    "{{backend}}",
                )
            ],
        ),
        Panel(
            "Time per token, average",
            "By the engine's own word.",
            "s",
            [
                (
                    f"rate({TOKEN_TIME}_sum{{{BACKEND}}}{RATE})"
                    f" / rate({TOKEN_TIME}_count{{{BACKEND}}}{RATE})",
                    "{{backend}}",
                )
            ],
        ),
        Panel(
            "Attempts by answer",
            "none: there was none.",
            "reqps",
            [
                (
                    f"sum by (backend, status) (rate(infergate_attempts_total{{{BACKEND}}}{RATE}))",
                    "{{backend}} {{status}}",
                )
            ],
        ),
        Panel(
            "Probes",
            "How long the last one took.",
            "s",
            [(f"infergate_backend_probe_seconds{{{BACKEND}}}", "{{backend}}")],
        ),
        Panel(
            "Breaker open",
            "Requests are kept away.",
            "short",
            [(f"infergate_backend_breaker_open{{{BACKEND}}}", "{{backend}}")],
        ),
        Panel(
            "Models",
            "That it has.",
            "short",
            [(f"infergate_backend_models{{{BACKEND}}}", "{{backend}}")],
        ),
    ),
    (("backend", "backend", "infergate_backend_up"),),
)
