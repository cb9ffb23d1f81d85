"""Grafana's dashboards as code: `python -m tests.grafana` writes what Infergate ships."""
