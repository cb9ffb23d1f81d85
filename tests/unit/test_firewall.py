"""The firewall's settings, its files and its log, without nginx."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.problems import ConfigError
from infergate.config.root import Config
from infergate.engine.facts import Engine
from infergate.errors import EngineError
from infergate.nginx.render import Surroundings, render
from infergate.nginx.waf import Firewall, firewall_for
from infergate.paths import Home
from infergate.waf.report import read_report, sums

BACKEND = "backends: { a: http://127.0.0.1:9 }\n"


def config(text: str) -> Config:
    return parse_config(BACKEND + text, Path("infergate.yaml"), {}).config


def files(text: str, folder: Path) -> dict[str, str]:
    firewall = Firewall(("/m.so",), folder, ("REQUEST-901-INITIALIZATION.conf",), None)
    around = Surroundings(source="infergate.yaml", home=Home(folder), firewall=firewall)
    return dict(render(config(text), around).files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine: embedded\nwaf: block", "embedded nginx cannot load ModSecurity"),
        (
            "engine: embedded\nservices: { s: { url: http://x:1, path: /s/, waf: detect } }",
            "infergate.yaml:3",
        ),
        ("waf: on", "off, detect, block"),
        ("waf: { mode: block, exclude: [92] }", "not a rule's number"),
        ("waf: { mode: block, exclude: ['942100-942000'] }", "not a rule's number"),
        ("waf: { exclude: [{ rule: 942100, target: 'ARGS:a\"b' }] }", "not what a rule looks at"),
        ("waf: { exclude: [{ rule: 942100-942200, target: ARGS }] }", "name a single rule"),
        ("waf: { exclude: [{ rule: 942100, path: '/a b' }] }", "beginning of a path"),
        ("waf: { paranoia: 5 }", "4"),
    ],
)
def test_wrong_settings_are_refused_with_their_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(text)
    assert "infergate.yaml:" in str(caught.value)
    assert message in str(caught.value)


def test_an_engine_without_modsecurity_is_refused_in_one_sentence() -> None:
    wanted = config("waf: detect")
    embedded = Engine("embedded", ("/nginx",), modules=frozenset({"http_ssl"}))
    with pytest.raises(EngineError, match="embedded nginx cannot load ModSecurity") as caught:
        firewall_for(wanted, embedded, "infergate.yaml")
    assert "engine install --waf" in (caught.value.hint or "")
    system = dataclasses.replace(embedded, origin="system")
    with pytest.raises(EngineError, match="ModSecurity is not installed for this nginx"):
        firewall_for(wanted, system, "infergate.yaml")
    assert firewall_for(config("waf: 'off'"), embedded, "infergate.yaml") is None


def test_rules_that_are_not_where_they_should_be_are_named(tmp_path: Path) -> None:
    engine = Engine("custom", ("/nginx",), modules=frozenset({"modsecurity"}))
    wanted = config(f"waf: {{ mode: block, rules: {tmp_path} }}")
    with pytest.raises(EngineError, match="Core Rule Set is not here"):
        firewall_for(wanted, engine, "infergate.yaml")
    (tmp_path / "rules").mkdir()
    for name in ("REQUEST-901-INITIALIZATION.conf", "REQUEST-949-X.conf", "RESPONSE-950-X.conf"):
        (tmp_path / "rules" / name).touch()
    found = firewall_for(wanted, engine, "infergate.yaml")
    assert found is not None
    assert found.rules == ("REQUEST-901-INITIALIZATION.conf", "REQUEST-949-X.conf")


def test_exclusions_become_rules_of_modsecurity(tmp_path: Path) -> None:
    text = """
waf:
  mode: block
  exclude: [942100, 920000-920999, { rule: 941100, target: "ARGS:html" },
            { rule: 930120, path: /v1/files }, { rule: 932100, path: /v1, target: ARGS }]
services: { s: { url: "http://x:1", path: /s/, waf: { exclude: [941160] } } }
"""
    found = files(text, tmp_path)
    api = found["waf/api.conf"]
    assert "\nSecRuleRemoveById 942100\n" in api
    assert "\nSecRuleRemoveById 920000-920999\n" in api
    assert '\nSecRuleUpdateTargetById 941100 "!ARGS:html"\n' in api
    assert '"@beginsWith /v1/files"' in api
    assert "ctl:ruleRemoveById=930120" in api
    assert "ctl:ruleRemoveTargetById=932100;ARGS" in api
    assert "\nSecRuleRemoveById 941160\n" in found["waf/service_0.conf"]
    numbers = [
        part.split(",")[0]
        for text in (api, found["waf/service_0.conf"])
        for part in text.split("id:")
    ][1:]
    assert len(numbers) == len(set(numbers)), "ModSecurity refuses a number that is used twice"


def test_without_a_firewall_nothing_of_it_is_rendered(tmp_path: Path) -> None:
    around = Surroundings(source="infergate.yaml", home=Home(tmp_path))
    services = "services: { s: { url: http://x:1, host: s.test } }"
    rendered = render(config(services), around)
    assert not [name for name, text in rendered.files.items() if "modsecurity" in text.lower()]
    assert not [name for name in (*rendered.files, *rendered.links) if name.startswith("waf/")]


REPORT = {
    "transaction": {
        "client_ip": "192.0.2.7",
        "unique_id": "1795260730.212-34-1",
        "request": {"method": "GET", "uri": "/a?token=S3CRET"},
        "messages": [
            {
                "message": "SQL Injection",
                "details": {
                    "ruleId": "942100",
                    "match": "against `ARGS:q' (Value: `S3CRET')",
                    "data": "Matched Data: S3CRET found within ARGS:q: S3CRET",
                },
            },
            {"message": "Score", "details": {"ruleId": "949110", "match": "", "data": ""}},
        ],
    }
}


def test_a_report_of_as_many_matches_as_fit_is_short_and_still_an_attack() -> None:
    entry = REPORT["transaction"]
    first, verdict = entry["messages"]
    many = {"transaction": {**entry, "messages": [first] * 10_000 + [verdict]}}
    report = read_report(json.dumps(many).encode())
    assert report is not None
    assert report.attack
    assert 0 < len(report.rules) <= 100


def test_a_report_is_kept_without_what_the_client_sent() -> None:
    report = read_report(json.dumps(REPORT).encode())
    assert report is not None
    assert "S3CRET" not in report.line()
    assert (report.path, report.attack, report.ts) == ("/a", True, 1795260730.212)
    assert [(each.rule, each.where) for each in report.rules] == [("942100", "ARGS:q")]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"transaction": {"messages": 1}}'])
def test_what_is_no_report_is_none(text: str) -> None:
    assert read_report(text.encode()) is None


def test_findings_are_summed_by_rule_and_place() -> None:
    report = read_report(json.dumps(REPORT).encode())
    assert report is not None
    found = sums([report.line(), "torn {", report.line()])
    assert [(each.rule, each.where, each.requests, each.attacks) for each in found] == [
        ("942100", "ARGS:q", 2, 2)
    ]
