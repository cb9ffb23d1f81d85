"""The rules for Prometheus, by its own promtool: each alert fires when it should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infergate.deploy.templates import template
from infergate.metrics.counted import COUNTED, OF_KEYS
from infergate.metrics.live import LIVE
from infergate.metrics.shipped import rules
from tests.tools import promtool

ROOT = Path(__file__).parents[3]
RULES = Path(str(resources.files("infergate.metrics") / "rules.yml"))
HOURS_7 = 7 * 60

REQUESTS = 'infergate_requests_total{job="infergate",status="%s"}'
QUEUED = 'infergate_queue_wait_seconds_bucket{job="infergate",gen_ai_request_model="m",le="%s"}'
FAILING: Sequence[tuple[str, Mapping[str, str], str, Mapping[str, str]]] = (
    (
        "InfergateAway",
        {'up{job="infergate",instance="g:9090"}': "0x30"},
        "5m",
        {"instance": "g:9090"},
    ),
    (
        "InfergateErrorsBurnFast",
        {REQUESTS % "2xx": "0+80x420", REQUESTS % "5xx": "0+20x420"},
        "90m",
        {},
    ),
    (
        "InfergateErrorsBurnSlowly",
        {REQUESTS % "2xx": "0+93x420", REQUESTS % "0xx": "0+7x420"},
        "7h",
        {},
    ),
    (
        "InfergateQueueLong",
        {QUEUED % le: f"0+{n}x60" for le, n in (("10.24", 0), ("20.48", 10), ("+Inf", 10))},
        "30m",
        {"gen_ai_request_model": "m"},
    ),
    ("InfergateModelWithoutBackend", {"infergate_models_without_backend": "1x30"}, "5m", {}),
    (
        "InfergateBackendDown",
        {'infergate_backend_state{backend="a",state="down"}': "1x30"},
        "5m",
        {"backend": "a", "state": "down"},
    ),
    (
        "InfergateBackendHung",
        {'infergate_backend_state{backend="a",state="hung"}': "1x30"},
        "1m",
        {"backend": "a", "state": "hung"},
    ),
    (
        "InfergateBackendSaturated",
        {'infergate_backend_kv_cache_used_ratio{backend="a"}': "0.97x30"},
        "15m",
        {"backend": "a"},
    ),
    (
        "InfergateBackendSaturated",
        {'infergate_backend_waiting_requests{backend="a"}': "30x30"},
        "15m",
        {"backend": "a"},
    ),
    (
        "InfergateBreakerOpen",
        {'infergate_backend_breaker_open{backend="a"}': "1x30"},
        "10m",
        {"backend": "a"},
    ),
    (
        "InfergateServiceDown",
        {'infergate_service_up{service="chroma"}': "0x30"},
        "5m",
        {"service": "chroma"},
    ),
    ("InfergateModelMissing", {"infergate_missing_models": "2x30"}, "20m", {}),
    ("InfergateBudgetNearlySpent", {"infergate_budgets_nearly_spent": "1x30"}, "1m", {}),
    # promtool's clock begins at 0.
    (
        "InfergateCertificateEnds",
        {'infergate_certificate_expires_timestamp_seconds{site="api"}': "600000x30"},
        "15m",
        {"site": "api"},
    ),
    (
        "InfergateCertificateProblem",
        {'infergate_certificate_problem{site="api"}': "1x90"},
        "65m",
        {"site": "api"},
    ),
    (
        "InfergateZoneFull",
        {'infergate_zone_used_ratio{zone="ig_keys",evicts="false"}': "0.85x30"},
        "15m",
        {"zone": "ig_keys", "evicts": "false"},
    ),
    ("InfergateLedgerStopped", {"infergate_ledger_stopped": "1x30"}, "5m", {}),
    ("InfergateLedgerStopped", {"infergate_ledger_timestamp_seconds": "60x30"}, "10m", {}),
    ("InfergateLedgerBehind", {"infergate_ledger_lag_bytes": "65000000x30"}, "15m", {}),
    (
        "InfergateProcessDown",
        {'infergate_process_up{process="control"}': "0x30"},
        "5m",
        {"process": "control"},
    ),
    ("InfergateLoopFails", {"infergate_control_loops_failing": "1x30"}, "10m", {}),
    ("InfergateWorkerDied", {"infergate_nginx_workers_killed_total": "0x5 1x30"}, "10m", {}),
)
"""Alert, the series that it is about, when it has to fire, its labels beside job and severity."""

QUIET = {
    'up{job="infergate",instance="g:9090"}': f"1x{HOURS_7}",
    REQUESTS % "2xx": f"0+995x{HOURS_7}",
    REQUESTS % "5xx": f"0+5x{HOURS_7}",
    "infergate_models_without_backend": f"0x{HOURS_7}",
    'infergate_backend_state{backend="a",state="up"}': f"1x{HOURS_7}",
    'infergate_backend_kv_cache_used_ratio{backend="a"}': f"0.8x{HOURS_7}",
    'infergate_backend_waiting_requests{backend="a"}': f"3x{HOURS_7}",
    'infergate_backend_breaker_open{backend="a"}': f"0x{HOURS_7}",
    'infergate_service_up{service="chroma"}': f"1x{HOURS_7}",
    "infergate_missing_models": f"0x{HOURS_7}",
    "infergate_budgets_nearly_spent": f"0x{HOURS_7}",
    'infergate_certificate_expires_timestamp_seconds{site="api"}': f"9000000x{HOURS_7}",
    'infergate_certificate_problem{site="api"}': f"0x{HOURS_7}",
    'infergate_zone_used_ratio{zone="ig_keys",evicts="false"}': f"0.5x{HOURS_7}",
    'infergate_zone_used_ratio{zone="ig_tags",evicts="true"}': f"0.99x{HOURS_7}",
    "infergate_ledger_stopped": f"0x{HOURS_7}",
    "infergate_ledger_timestamp_seconds": f"0+60x{HOURS_7}",
    "infergate_ledger_lag_bytes": f"100000x{HOURS_7}",
    'infergate_process_up{process="control"}': f"1x{HOURS_7}",
    "infergate_control_loops_failing": f"0x{HOURS_7}",
    "infergate_nginx_workers_killed_total": f"1x{HOURS_7}",
}
"""A gateway with half a percent of errors, where nothing is wrong."""


def alerts() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def tool(*arguments: str) -> str:
    program = promtool()
    if program is None:
        pytest.skip("promtool is not installed; `make test` brings it where apt is")
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def told(tests: list[dict[str, Any]], folder: Path) -> None:
    path = folder / "test.yml"
    path.write_text(
        json.dumps(
            {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}, indent=1
        )
    )
    tool("test", "rules", str(path))


def test_the_rules_are_prometheus_own_language() -> None:
    assert "SUCCESS" in tool("check", "rules", str(RULES))


def test_what_the_compose_file_brings_prometheus_takes(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(template("docker", "monitoring/prometheus.yml"))
    (tmp_path / "infergate-rules.yml").write_text(rules())
    assert "SUCCESS" in tool("check", "config", str(tmp_path / "prometheus.yml"))


def test_each_alert_fires_for_what_it_is_about(tmp_path: Path) -> None:
    assert {name for name, *_ in FAILING} == {each["alert"] for each in alerts()}
    severity = {each["alert"]: each["labels"]["severity"] for each in alerts()}
    tests = []
    for name, series, at, labels in FAILING:
        with_job = any('job="infergate"' in each for each in series)
        found = {
            "severity": severity[name],
            **({"job": "infergate"} if with_job else {}),
            **labels,
        }
        states = {"alertname": name, "alertstate": "firing", **found}
        labels_there = ",".join(f'{key}="{value}"' for key, value in states.items())
        # What the summary says depends on the value; only that it fires is told here.
        fires = {
            "expr": f'ALERTS{{alertname="{name}",alertstate="firing"}}',
            "eval_time": at,
            "exp_samples": [{"labels": f"ALERTS{{{labels_there}}}", "value": 1}],
        }
        inputs = [{"series": each, "values": values} for each, values in series.items()]
        tests.append({"interval": "1m", "input_series": inputs, "promql_expr_test": [fires]})
    told(tests, tmp_path)


def test_no_alert_fires_where_nothing_is_wrong(tmp_path: Path) -> None:
    test = {
        "interval": "1m",
        "input_series": [{"series": k, "values": v} for k, v in QUIET.items()],
        "alert_rule_test": [
            {"eval_time": at, "alertname": each["alert"], "exp_alerts": []}
            for each in alerts()
            for at in ("10m", "90m", "7h")
        ],
    }
    told([test], tmp_path)


def test_each_alert_has_its_heading_in_the_runbook() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    headings = set(re.findall(r"^#+ (Infergate\w+)$", page, re.MULTILINE))
    assert headings == {each["alert"] for each in alerts()}
    for each in alerts():
        assert each["annotations"]["runbook"] == f"docs/monitoring.md#{each['alert'].lower()}"


def test_rules_name_only_metrics_that_there_are() -> None:
    known = {each.name for each in (*COUNTED, *OF_KEYS, *LIVE)}
    text = re.sub(r"#.*", "", RULES.read_text())
    named = set(
        re.findall(r"\b((?:infergate|gen_ai_server)_\w+?)(?:_bucket)?\b(?=[\s{}\[)])", text)
    )
    assert named - known == set()
    assert len(named) > 10
