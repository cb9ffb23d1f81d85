"""Where backends come from, for people: `backend list`, and lines of `status` and `doctor`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import Any

from infergate.cli.ledger import ago
from infergate.cli.rows import print_rows

_WIDTH = 80


def print_backends(document: Mapping[str, Any]) -> None:
    """A row for each, and below what was changed by hand. document: operate/backend_list.py."""
    rows = [
        (
            name,
            each["url"],
            str(each["weight"]) + "*" * any(c["what"] == "weight" for c in each["changes"]),
            each["origin"] if each["group"] is None else f"{each['group']}: {each['origin']}",
        )
        for name, each in document["backends"].items()
    ]
    print_rows(("NAME", "URL", "WEIGHT", "FROM"), rows)
    for line in lines_about(document):
        print(fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False))


def lines_about(document: Mapping[str, Any]) -> Iterator[str]:
    """What was changed by hand, how to undo it, and which groups cannot be looked up."""
    for name, each in document["backends"].items():
        for change in each["changes"]:
            by = f"by {change['who']} {_ago(change)}"
            if change["what"] == "add":
                yield f"{name} was added {by}; `infergate backend remove {name}` takes it out."
            else:
                before = change["instead_of"]
                instead = f" instead of {before['weight']}" if before else ""
                weight = change["value"]["weight"]
                yield (
                    f"{name} was given weight {weight}{instead} {by}; "
                    f"`infergate backend reset {name}` undoes it."
                )
    for change in document["removed"]:
        name = change["backend"]
        yield (
            f"{name} was removed by {change['who']} {_ago(change)}; "
            f"`infergate backend reset {name}` brings it back."
        )
    for name, group in document["groups"].items():
        if group["problem"] is not None:
            kept = len(group["backends"])
            meanwhile = f"the {kept} known before are kept" if kept else "none is known yet"
            yield f"{name} ({group['found_by']}): {group['problem']}; {meanwhile}."
        elif not group["backends"]:
            yield f"{name} ({group['found_by']}) names no backends."
        for left_out in group["left_out"]:
            yield f"{left_out} of {name} is left out: another backend has its name."


def _ago(change: Mapping[str, Any]) -> str:
    return f"{ago(time.time() - change['at'])} ago"
