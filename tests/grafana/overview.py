"""Is it well, what is it doing, and who waits."""

from __future__ import annotations

from tests.grafana.panel import RATE, Dashboard, Panel

BY_MODEL = "{{gen_ai_request_model}}"

OVERVIEW = Dashboard(
    "infergate-overview",
    "Infergate: overview",
    "Is it well, what is it doing, and who waits.",
    (
        Panel(
            "Requests",
            "Since counting began.",
            "short",
            [("sum(infergate_requests_total)", "")],
            "number",
            4,
        ),
        Panel(
            "Requests a second",
            "Of the last minutes.",
            "reqps",
            [(f"sum(rate(infergate_requests_total{RATE}))", "")],
            "number",
            4,
        ),
        Panel(
            "Errors of the server's side",
            "5xx, or no answer at all.",
            "percentunit",
            [
                (
                    f'sum(rate(infergate_requests_total{{status=~"5xx|0xx"}}{RATE}))'
                    f" / sum(rate(infergate_requests_total{RATE}))",
                    "",
                )
            ],
            "number",
            4,
        ),
        Panel(
            "Tokens a second",
            "Written by models.",
            "short",
            [(f'sum(rate(infergate_tokens_total{{gen_ai_token_type="output"}}{RATE}))', "")],
            "number",
            4,
        ),
        Panel(
            "Backends",
            "That get requests, and all.",
            "short",
            [("sum(infergate_backend_up)", "up"), ("count(infergate_backend_up)", "all")],
            "number",
            4,
        ),
        Panel(
            "Waiting",
            "Requests in the queue now.",
            "short",
            [("sum(infergate_queued_requests)", "")],
            "number",
            4,
        ),
        Panel(
            "Requests by status",
            "4xx: the client's doing; 429 are limits.",
            "reqps",
            [(f"sum by (status) (rate(infergate_requests_total{RATE}))", "{{status}}")],
        ),
        Panel(
            "Errors by kind",
            "The code of the gateway's error, or the status.",
            "reqps",
            [
                (
                    f'sum by (error_type) (rate(infergate_requests_total{{error_type!=""}}{RATE}))',
                    "{{error_type}}",
                )
            ],
        ),
        Panel(
            "Latency",
            "From a request's first byte to its answer's last.",
            "s",
            [
                (
                    f"histogram_quantile({q}, sum by (le)"
                    f" (rate(gen_ai_server_request_duration_seconds_bucket{RATE})))",
                    f"p{q[2:]}",
                )
                for q in ("0.50", "0.95", "0.99")
            ],
        ),
        Panel(
            "Tokens",
            "input has those in it that were cached.",
            "short",
            [
                (
                    f"sum by (gen_ai_token_type) (rate(infergate_tokens_total{RATE}))",
                    "{{gen_ai_token_type}}",
                )
            ],
        ),
        Panel(
            "In flight",
            "What backends have of us now, and who waits.",
            "short",
            [
                ("sum(infergate_in_flight_requests)", "at backends"),
                ("sum(infergate_queued_requests)", "waiting"),
            ],
        ),
        Panel(
            "Refused by limits",
            "Whose limit, and which. Of keys: see their dashboard.",
            "reqps",
            [
                (
                    f"sum by (limit, owner) (rate(infergate_limit_refusals_total{RATE}))",
                    "{{limit}} of {{owner}}",
                )
            ],
        ),
        Panel(
            "Money an hour",
            "By the models' prices, in usage.currency.",
            "short",
            [
                (
                    f"3600 * sum by (gen_ai_request_model) (rate(infergate_cost_total{RATE}))",
                    BY_MODEL,
                )
            ],
        ),
    ),
)
