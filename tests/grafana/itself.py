"""The gateway itself."""

from __future__ import annotations

from tests.grafana.panel import RATE, Dashboard, Panel

GATEWAY = Dashboard(
    "infergate-gateway",
    "Infergate: the gateway itself",
    "Processes, shared memory, counting, certificates.",
    (
        Panel(
            "Processes",
            "1: it runs.",
            "short",
            [("infergate_process_up", "{{process}}")],
            "number",
            8,
        ),
        Panel(
            "Models without a backend",
            "What /readyz looks at.",
            "short",
            [("infergate_models_without_backend", "")],
            "number",
            4,
        ),
        Panel(
            "Certificates end in",
            "The next one.",
            "s",
            [
                (
                    "min by (site) (infergate_certificate_expires_timestamp_seconds) - time()",
                    "{{site}}",
                )
            ],
            "number",
            6,
        ),
        Panel(
            "Failing parts",
            "Of the control plane.",
            "short",
            [("infergate_control_loops_failing", "")],
            "number",
            6,
        ),
        Panel(
            "Connections",
            "waiting: kept alive. The embedded engine does not tell.",
            "short",
            [("infergate_nginx_connections", "{{state}}")],
        ),
        Panel(
            "New connections",
            "Each second. The embedded engine does not tell.",
            "short",
            [(f"rate(infergate_nginx_connections_accepted_total{RATE})", "")],
        ),
        Panel(
            "Shared memory",
            "What cannot give up old entries; 0.8 is an alert.",
            "percentunit",
            [('infergate_zone_used_ratio{evicts="false"}', "{{zone}}")],
        ),
        Panel(
            "Counting is behind",
            "Bytes of the access log.",
            "bytes",
            [("infergate_ledger_lag_bytes", "")],
        ),
        Panel("Valid keys", "", "short", [("infergate_keys", "")]),
        Panel("Banned networks", "", "short", [("infergate_banned_networks", "")]),
        Panel(
            "What the firewall matched",
            "By the rule's number; attack: the request reached waf.threshold.",
            "reqps",
            [
                (
                    f"sum by (rule, attack) (rate(infergate_waf_matches_total{RATE}))",
                    "{{rule}} attack={{attack}}",
                )
            ],
        ),
        Panel("Web services", "1: it answers.", "short", [("infergate_service_up", "{{service}}")]),
        Panel(
            "Requests to web services",
            "",
            "reqps",
            [
                (
                    f"sum by (service, status) (rate(infergate_service_requests_total{RATE}))",
                    "{{service}} {{status}}",
                )
            ],
        ),
    ),
)
