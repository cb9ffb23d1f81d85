"""Streams of chat completions that a server may send: any order of what a model says."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.dialects import USAGE, chunk, piece

Body = dict[str, Any]

_ARGUMENTS = st.dictionaries(
    st.text(max_size=3), st.integers(0, 9) | st.sampled_from(["}", '"}', "{"]), max_size=2
)


@dataclass(frozen=True)
class Told:
    """A stream and what it says. calls: arguments by id, in the order in which they begin."""

    chunks: list[Body]
    thoughts: str
    text: str
    calls: dict[str, Any]
    finish: str


@st.composite
def streams(draw: st.DrawFn) -> Told:
    """Thoughts, words and calls, whose pieces may be interleaved in any way that keeps the order
    of each one's own pieces."""
    thoughts = draw(st.lists(st.text(min_size=1, max_size=3), max_size=2))
    words = draw(st.lists(st.text(min_size=1, max_size=3), max_size=3))
    calls = {f"call_{number}": draw(_ARGUMENTS) for number in range(draw(st.integers(0, 3)))}
    rows: list[list[Body]] = [
        [{"reasoning_content": each} for each in thoughts],
        [{"content": each} for each in words],
    ]
    for number, (id, given) in enumerate(calls.items()):
        whole = json.dumps(given)
        cut = sorted({0, *draw(st.lists(st.integers(0, len(whole)), max_size=3)), len(whole)})
        parts = [whole[start:end] for start, end in itertools.pairwise(cut)]
        rows.append([piece(number, "", name="f", id=id), *(piece(number, each) for each in parts)])
    deltas: list[Body] = []
    while any(rows):
        # A call begins after those before it have.
        rows = [row for row in rows if row]
        free = [row for row in rows if _may_come(row, rows)]
        deltas.append(draw(st.sampled_from(free)).pop(0))
    finish = draw(st.sampled_from(["tool_calls" if calls else "stop", "length"]))
    chunks = [chunk(role="assistant", content=None), *(chunk(**each) for each in deltas)]
    chunks += [chunk(content="", finish=finish), chunk(usage=USAGE)]
    return Told(chunks, "".join(thoughts), "".join(words), calls, finish)


def _may_come(row: list[Body], rows: list[list[Body]]) -> bool:
    number = _begins(row)
    begun = [_begins(each) for each in rows]
    return number is None or all(each is None or each >= number for each in begun)


def _begins(row: list[Body]) -> int | None:
    calls = row[0].get("tool_calls")
    return calls[0]["index"] if calls and calls[0].get("id") else None
