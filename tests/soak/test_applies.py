"""A hundred applies with fifty open streams: none is cut, and the memory is given back."""

from __future__ import annotations

from statistics import median

from tests.apply_campaign import campaign


def test_a_hundred_applies_cut_no_stream_of_fifty(engine: str) -> None:
    seen = campaign(engine, 100, 50, chunks=40, chunk_delay_s=0.5)
    print(
        f"\n{engine}: {seen.streams} streams, {sum(seen.answers.values())} other requests; an "
        f"apply took {median(seen.apply_s):.1f} s; at most {seen.most_workers} workers and "
        f"{seen.most_left} streams left on old ones; nginx had "
        f"{seen.rss_before_mb:.0f} MB, {seen.rss_most_mb:.0f} MB at most, "
        f"{seen.rss_after_mb:.0f} MB afterwards"
    )
    assert seen.wrong == []
    assert seen.streams > 100
    assert set(seen.answers) == {200}
    assert seen.rss_after_mb < 2 * seen.rss_before_mb + 20
