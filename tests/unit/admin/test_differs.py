"""`explain` says where a prompt stops to be the one that its key asked before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infergate.admin.differs import BLOCK, differs
from infergate.admin.told import told
from infergate.ledger.line import request_in
from tests import access_log


def entry(why: str, **more: Any) -> dict[str, Any]:
    found = request_in(access_log.line(why=why, **more))
    assert found is not None
    return found


def weighed_at(blocks: float, known: float) -> str:
    """Of a prompt of so many blocks, of which backend a should have so many."""
    tokens = round(blocks * BLOCK)
    return f"work {tokens};a=9:0,{max(16, tokens - known * BLOCK):.0f},0,0,800000;b=99;"


BEFORE = entry(weighed_at(20, 0), ts=1_795_000_000.0, id="before")


def after(why: str, **more: Any) -> dict[str, Any]:
    return entry(why, ts=1_795_000_100.0, **more)


@pytest.mark.parametrize(
    ("known", "between"), [(0, "0 and 8"), (1, "8 and 16"), (4, "32 and 64"), (16, "128 and 160")]
)
def test_it_differs_between_the_depth_that_is_known_and_the_next(known: int, between: str) -> None:
    said = differs(after(weighed_at(22, known)), [BEFORE])
    assert said is not None
    assert "before" in said
    assert f"differs from it between {between} kB" in said
    assert any(between in line for line in told(after(weighed_at(22, known)), [BEFORE]))


@pytest.mark.parametrize("known", [20, 22, 18])
def test_nothing_is_said_where_it_is_as_it_should_be_or_the_engine_is_not_trusted(
    known: int,
) -> None:
    assert differs(after(weighed_at(22, known)), [BEFORE]) is None


@pytest.mark.parametrize(
    "other",
    [
        {"key": "other"},
        {"gen_ai.request.model": "other"},
        {"ts": 1_795_000_100.0},
        {"why": "least_busy;a=0;"},
        {"why": weighed_at(0.5, 0)},
        {"why": weighed_at(4, 0)},
        {"why": weighed_at(30, 0)},
    ],
)
def test_a_request_that_it_cannot_go_on_from_is_none_to_compare_with(other: Any) -> None:
    assert differs(after(weighed_at(22, 4)), [json.loads(json.dumps({**BEFORE, **other}))]) is None


@pytest.mark.parametrize("why", ["", "least_busy;a=0;", "work;a=1;", weighed_at(0.5, 0)])
def test_nothing_is_said_of_a_request_that_was_not_weighed_by_its_prompt(why: str) -> None:
    assert differs(after(why), [BEFORE]) is None
