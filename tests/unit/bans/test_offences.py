"""Which requests are offences, for us and for fail2ban's filters alike."""

from __future__ import annotations

import json
import re

import pytest

from infergate.bans.fail2ban import Setting, fail2ban_files
from infergate.bans.offences import KINDS, offence_in
from infergate.config.bans import Bans

SETTING = Setting(
    bans=Bans(),
    log="/logs/access.log",
    ports=("80", "443"),
    never=("127.0.0.0/8",),
    command=("/usr/bin/python3", "-m", "infergate"),
    config="/etc/my gate/infergate.yaml",
    nftables=True,
)


def line(status: int, error: str, uri: str = "/v1/models", **more: str) -> str:
    """As nginx writes it: see nginx/access_line.py."""
    fields = {
        "ts": 1795260730.212,
        "status": status,
        "ip": more.pop("ip", "192.0.2.7"),
        "v": 2,
        "id": "1795260730.212-34-1",
        "method": "GET",
        "uri": uri,
        "key": more.pop("key", ""),
        "error": error,
        "time": "2026-11-21T12:32:10+00:00",
        "request_time": 0.001,
        "user_agent": more.pop("user_agent", "x"),
    }
    return json.dumps(fields, separators=(",", ":"))


OLD = (
    line(401, "invalid_api_key")
    .replace('"v":2', '"v":1')
    .replace('"error"', '"model":"","backend":"","tried":"","error"')
)  # of version 1
CASES = [
    (OLD, "wrong_key"),
    (line(401, "invalid_api_key"), "wrong_key"),
    (line(401, "missing_api_key"), "wrong_key"),
    (line(403, "invalid_request"), "denied"),
    (line(403, "waf_blocked"), "waf"),
    (line(403, "waf_blocked", "/.env"), "waf"),
    (line(429, "invalid_request"), "rate"),
    (line(404, "unknown_endpoint", "/.env"), "scanner"),
    (line(404, "unknown_endpoint", "/.git/config"), "scanner"),
    (line(404, "unknown_endpoint", "/WP-login.php"), "scanner"),
    (line(404, "unknown_endpoint", "/a/b/shell.php"), "scanner"),
    (line(401, "missing_api_key", "/phpmyadmin/"), "scanner"),
    (line(401, "wrong_password"), "wrong_key"),
    # Who has a key that we know is no stranger.
    (line(401, "expired_api_key", key="key-1"), None),
    (line(401, "address_not_allowed", key="key-1"), None),
    (line(403, "model_not_allowed", key="key-1"), None),
    (line(403, "service_not_allowed", "/qdrant/x", key="key-1"), None),
    (line(401, "expired_api_key", "/n8n/wp-login.php", key="key-1"), None),
    # A session that ran out, and what browsers ask without a password.
    (line(401, "not_logged_in", "/api/user"), None),
    (line(403, "forbidden_by_login", "/admin"), None),
    (line(401, "missing_password", "/manifest.json"), None),
    (line(401, "missing_password", "/.env"), "scanner"),
    (line(429, "rate_limit_exceeded", key="key-1"), None),
    (line(404, "unknown_endpoint", "/.env", key="key-1"), None),
    # A service's own answers, and what went well.
    (line(401, "", "/n8n/rest/login"), None),
    (line(403, ""), None),
    (line(404, "unknown_endpoint", "/favicon.ico"), None),
    (line(404, "unknown_endpoint", "/v1/files"), None),
    (line(200, ""), None),
    (line(503, "no_backend"), None),
    (line(444, ""), None),
    # What a client writes is escaped, and does not count.
    (line(404, "unknown_endpoint", '/","error":"waf_blocked'), None),
    (line(200, "", user_agent='{"ts":1,"status":401,"ip":"198.51.100.1","v":2,'), None),
    (line(404, "x", '/\n{"ts":1,"status":401,"ip":"198.51.100.1","v":2,"id":"'), None),
    ("", None),
    ("{", None),
    ('{"ts":1,"status":401}', None),
]


@pytest.mark.parametrize(("text", "kind"), CASES)
def test_each_line_is_of_one_kind_or_none(text: str, kind: str | None) -> None:
    offence = offence_in(text)
    assert (offence and offence.kind) == kind
    assert offence is None or (offence.ip, offence.ts) == ("192.0.2.7", 1795260730.212)


@pytest.mark.parametrize(("text", "kind"), CASES)
def test_fail2bans_filters_find_the_same(text: str, kind: str | None) -> None:
    files = fail2ban_files(SETTING)
    rest = re.sub(r'^\{"ts":[\d.]+', "", text)  # fail2ban cuts out what datepattern matched
    found = set()
    for each in KINDS:
        written = files[f"filter.d/infergate-{each.replace('_', '-')}.conf"]
        regex = re.search(r"^failregex = (.*)$", written, re.MULTILINE)
        assert regex is not None
        pattern = regex[1].replace("%%", "%").replace("<ADDR>", r"(?P<ip>[0-9a-fA-F:.]+)")
        if match := re.search(pattern, rest):
            found.add(each)
            assert match["ip"] == "192.0.2.7"
    # A scanner's 401 is a wrong key to fail2ban as well: its filters do not know of each other.
    assert kind in (found or {None})
    assert found <= {kind, "wrong_key", "denied", "scanner"} - ({None} if found else set())


def test_a_limit_of_zero_has_no_jail() -> None:
    bans = Bans.model_validate({"offences": {"rate": 0, "waf": 2}})
    setting = Setting(**{**vars(SETTING), "bans": bans, "nftables": False})
    files = fail2ban_files(setting)
    jails = files["jail.d/infergate.conf"]
    assert "[infergate-rate]" not in jails
    assert "filter.d/infergate-rate.conf" not in files
    assert "[infergate-waf]\nfilter = infergate-waf\nmaxretry = 2\n" in jails
    assert "action = infergate[name=%(__name__)s]\n" in jails
    assert "bans add <ip> --for <bantime>s" in files["action.d/infergate.conf"]
    assert "-c '/etc/my gate/infergate.yaml'" in files["action.d/infergate.conf"]
