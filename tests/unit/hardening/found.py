"""What checks found, of a configuration and by name."""

from __future__ import annotations

from infergate.hardening.check import Check

DAY = 86400


def named(checks) -> dict[str, Check]:
    return {each.name: each for each in checks}


def outcome(checks, name: str) -> tuple[str, str]:
    each = named(checks)[name]
    return each.outcome, each.severity
