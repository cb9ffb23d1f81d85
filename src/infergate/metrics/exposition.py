"""Prometheus' text format, version 0.0.4:
https://prometheus.io/docs/instrumenting/exposition_formats/

Not prometheus_client's writer: that takes ten times as long, and a scrape waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from infergate.metrics.family import Measured

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(found: Iterable[Measured]) -> str:
    """All of them as text; what has no series is left out."""
    lines = []
    for each in found:
        if not each.samples:
            continue
        name = each.family.name
        lines.append(f"# HELP {name} {_help(each.family.meaning)}\n")
        lines.append(f"# TYPE {name} {each.family.kind}\n")
        for sample in each.samples:
            labels, value, suffix = sample
            lines.append(f"{name}{suffix}{_braces(labels)} {_number(value)}\n")
    return "".join(lines)


@lru_cache(maxsize=16_384)
def _braces(labels: tuple[tuple[str, str], ...]) -> str:
    """Kept, because each scrape has the same ones."""
    if not labels:
        return ""
    return "{" + ",".join([f'{key}="{_escaped(value)}"' for key, value in labels]) + "}"


def _number(value: float) -> str:
    whole = int(value)
    return str(whole) if whole == value else repr(value)


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
