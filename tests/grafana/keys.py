"""Keys and teams."""

from __future__ import annotations

from tests.grafana.panel import RATE, Dashboard, Panel

KEY = 'key=~"$key"'

KEYS = Dashboard(
    "infergate-keys",
    "Infergate: keys and teams",
    "Who uses it. Needs `metrics: { keys: 20 }` in infergate.yaml.",
    (
        Panel(
            "Requests by key",
            "Of those with the most.",
            "reqps",
            [(f"sum by (key) (rate(infergate_key_requests_total{{{KEY}}}{RATE}))", "{{key}}")],
        ),
        Panel(
            "Requests by team",
            "Of those keys.",
            "reqps",
            [
                (
                    f'sum by (team) (rate(infergate_key_requests_total{{{KEY},team!=""}}{RATE}))',
                    "{{team}}",
                )
            ],
        ),
        Panel(
            "Tokens by key",
            "Of prompts and answers.",
            "short",
            [
                (
                    f"sum by (key) (rate(infergate_key_tokens_total{{{KEY},"
                    f'gen_ai_token_type!="cache_read"}}{RATE}))',
                    "{{key}}",
                )
            ],
        ),
        Panel(
            "Tokens by team",
            "Of prompts and answers.",
            "short",
            [
                (
                    f'sum by (team) (rate(infergate_key_tokens_total{{{KEY},team!="",'
                    f'gen_ai_token_type!="cache_read"}}{RATE}))',
                    "{{team}}",
                )
            ],
        ),
        Panel(
            "Money an hour by key",
            "In usage.currency.",
            "short",
            [(f"3600 * sum by (key) (rate(infergate_key_cost_total{{{KEY}}}{RATE}))", "{{key}}")],
        ),
        Panel(
            "Errors by key",
            "400 and above, 429 among them.",
            "reqps",
            [(f"sum by (key) (rate(infergate_key_errors_total{{{KEY}}}{RATE}))", "{{key}}")],
        ),
        Panel(
            "Budgets",
            "How far they are used; the furthest ones.",
            "percentunit",
            [("infergate_budget_used_ratio", "{{key}}{{team}} {{budget}}")],
        ),
        Panel(
            "Budgets nearly spent",
            "By 90 % or more, of all keys and teams.",
            "short",
            [("sum(infergate_budgets_nearly_spent)", "")],
            "number",
        ),
    ),
    (("key", "key", "infergate_key_requests_total"),),
)
