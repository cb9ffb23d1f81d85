"""One finding of the firewall: read from ModSecurity's report, kept without what the client sent.

ModSecurity writes the query and the text that matched into its reports, and so any key or password
that is in them. What is kept names the part of the request instead.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from infergate.worker_files import entry_in

VERDICT = "949110"
"""The Core Rule Set's rule that adds up the points: where it matched, it was an attack."""

_REFUSED = frozenset({"200002", "200003", "200004", "200007"})
"""Our rules on what cannot be judged (waf_service.conf.j2): they refuse alone."""

_WHERE = re.compile(r"found within ([A-Z_]{2,40}(?::[A-Za-z0-9_.\[\]-]{1,100})?)")
_LONGEST = 500
_MOST_MATCHES, _LAST = 100, 20
"""Of a report, which may have as many as fit into it: from its beginning and from its end."""


@dataclass(frozen=True)
class Match:
    """A rule that matched. where: the part of the request, such as ARGS:q; empty if not told."""

    rule: str
    message: str
    where: str


@dataclass(frozen=True)
class FirewallReport:
    """A request that rules matched.

    ts: Unix seconds; id: of the request, as in the access log.
    attack: whether the points reached waf.threshold; in mode block it was refused then.
    """

    ts: float
    id: str
    ip: str
    method: str
    path: str
    attack: bool
    rules: tuple[Match, ...]

    def line(self) -> str:
        """As one line of logs/waf.log."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read_report(text: bytes) -> FirewallReport | None:
    """The finding in ModSecurity's report (JSON, parts AHZ); None if it is none. A worker that
    somebody got hold of may have written anything."""
    try:
        entry = json.loads(text.decode(errors="replace"))["transaction"]
        # The verdict is the last one.
        found = [_match(each) for each in _ends(entry["messages"])]
        return FirewallReport(
            ts=_seconds(entry["unique_id"]),
            id=_text(entry["unique_id"], 60),
            ip=_text(entry["client_ip"], 60),
            method=_text(entry["request"]["method"], 20),
            path=_text(entry["request"]["uri"].partition("?")[0]),
            attack=any(each.rule == VERDICT or each.rule in _REFUSED for each in found),
            rules=tuple(each for each in found if each.rule != VERDICT),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _ends(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(messages) <= _MOST_MATCHES:
        return messages
    return [*messages[: _MOST_MATCHES - _LAST], *messages[-_LAST:]]


def _seconds(request_id: str) -> float:
    seconds = float(request_id.partition("-")[0])
    if not math.isfinite(seconds):
        raise ValueError(request_id)
    return seconds


def _text(value: str, longest: int = _LONGEST) -> str:
    """Raises TypeError for anything but a string."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value[:longest]


def _match(message: dict[str, Any]) -> Match:
    details = message["details"]
    where = _WHERE.search(details["data"])
    rule = _text(str(details["ruleId"]), 20)
    return Match(rule, _text(message["message"]), where[1] if where else "")


@dataclass
class RuleSum:
    """What one rule found in one part of requests. path: of the last one."""

    rule: str
    message: str
    where: str
    requests: int = 0
    attacks: int = 0
    path: str = ""
    id: str = ""


def sums(lines: Iterable[str]) -> list[RuleSum]:
    """The lines of logs/waf.log by rule and part of the request, the most frequent first."""
    found: dict[tuple[str, str], RuleSum] = {}
    for line in lines:
        try:
            entry = entry_in(line) or {}
            for match in entry["rules"]:
                key = (match["rule"], match["where"])
                each = found.setdefault(key, RuleSum(match["rule"], match["message"], key[1]))
                each.requests += 1
                each.attacks += entry["attack"]
                each.path, each.id = entry["path"], entry["id"]
        except (ValueError, KeyError, TypeError):
            continue  # torn by a full disk
    return sorted(found.values(), key=lambda each: -each.requests)
