"""Prometheus' text format, version 0.0.4:
https://prometheus.io/docs/instrumenting/exposition_formats/

Not prometheus_client's writer: that takes ten times as long, and a scrape waits for it."""

from __future__ import annotations

from collections.abc import Iterable

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
            labels = ",".join([f'{key}="{_escaped(value)}"' for key, value in sample.labels])
            lines.append(
                f"{name}{sample.suffix}{{{labels}}} {_number(sample.value)}\n"
                if labels
                else f"{name}{sample.suffix} {_number(sample.value)}\n"
            )
    return "".join(lines)


def _number(value: float) -> str:
    whole = int(value)
    return str(whole) if whole == value else repr(value)


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
