"""Spans of a line of the log, and which traces are kept."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergate.config.tracing import Tracing
from infergate.nginx.sampling import is_sampled, sampled_pattern
from infergate.traces.spans import Span, is_kept, spans_of
from tests.access_log import attempt, line

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NONE = Tracing(endpoint="http://127.0.0.1:4318", sample=0, slow=10)


def entry(**fields: Any) -> dict[str, Any]:
    ids = {"trace_id": TRACE, "span_id": "abcdef0123456780", "parent_span_id": ""}
    return json.loads(line(**{**ids, **fields}))  # type: ignore[no-any-return]


def ms(span: Span, of: Span) -> tuple[int, int]:
    return tuple(round((at - of.start_ns) / 1e6) for at in (span.start_ns, span.end_ns))  # type: ignore[return-value]


def test_attempts_lie_one_behind_the_other_after_the_queue() -> None:
    attempts = [attempt("a", 503, 0.1), attempt("b", None, None), attempt("c", 200, 0.1)]
    attempts[1]["response_time"] = None
    root, queue, a, b, c = spans_of(entry(request_time=1.0, queue_ms=200, attempts=attempts))
    assert [each.span_id[-1] for each in (root, queue, a, b, c)] == list("0f123")
    assert ms(queue, root) == (0, 200)
    assert (ms(a, root), ms(b, root), ms(c, root)) == ((500, 750), (750, 750), (750, 1000))
    assert [each.error for each in (a, b, c)] == ["503", "no answer", ""]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, False),
        ({"status": 404}, False),
        ({"status": 500}, True),
        ({"status": 499}, True),
        ({"status": 0}, True),
        ({"completed": False}, True),
        ({"attempts": [attempt("a", 503, 0.1), attempt("b", 200, 0.1)]}, True),
        ({"request_time": 9.9}, False),
        ({"request_time": 10.0}, True),
    ],
    ids=str,
)
def test_what_failed_or_was_slow_is_kept_whatever_the_share_is(
    fields: dict[str, Any], kept: bool
) -> None:
    assert is_kept(entry(**fields), NONE) is kept


@given(st.integers(0, 2**128 - 1), st.floats(0, 1))
def test_nginx_and_the_control_plane_choose_the_same_share(number: int, share: float) -> None:
    trace = f"{number:032x}"
    assert bool(re.search(sampled_pattern(share), trace)) is is_sampled(trace, share)


def test_a_share_is_a_share() -> None:
    ids = [f"{0:018x}{at:04x}{0:010x}" for at in range(0, 65536, 16)]
    for share in (0, 0.1, 0.5, 1):
        kept = sum(is_sampled(each, share) for each in ids) / len(ids)
        assert abs(kept - share) < 0.001
