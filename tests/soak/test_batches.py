"""A batch of 5,000 lines with three ends of everything, and what those notice who ask meanwhile."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway, until
from tests.gateway_batches import answers, asked, begun, client, ended, kill_9, requests

LINES = 5000
CONFIG = """
backends: {{ a: {{ url: {a}, max_in_flight: 4 }} }}
models: {{ m: [a] }}
api: {{ batches: {{ concurrent: 8 }} }}
"""


def test_five_thousand_lines_are_exact_after_three_ends_of_everything() -> None:
    with (
        scripted(name="a", models=["m"]) as a,
        gateway("embedded", CONFIG.format(a=a.url), forked=True) as it,
    ):
        of = client(it)
        began = time.monotonic()
        batch = begun(of, requests(LINES))
        for answered in (LINES // 5, LINES // 2, LINES * 4 // 5):
            until(lambda answered=answered: asked(of, batch) >= answered, timeout_s=600)
            kill_9(it)
            it.run("up", "--detach")
        done = ended(of, batch, timeout_s=600)
        took_s = time.monotonic() - began
        assert done.status == "completed", done.errors
        assert done.error_file_id is None
        found = answers(of, done.output_file_id)
        assert sorted(each["custom_id"] for each in found) == sorted(f"r{n}" for n in range(LINES))
        again = len(a.requests()) - LINES
        assert again <= 3 * 8, "only what was in flight is asked again"
        print(f"{LINES} lines in {took_s:.0f} s, {again} of them asked again after three kills")


@pytest.mark.parametrize("concurrent", [3, 8])
def test_what_those_notice_who_ask_while_a_batch_runs(concurrent: int) -> None:
    """Only that both go on is held; the times are for docs/batches.md. Of four slots, the batch
    takes three, or all."""
    with (
        scripted(name="a", models=["m"]) as a,
        gateway(
            "embedded", CONFIG.replace("8", str(concurrent)).format(a=a.url), forked=True
        ) as it,
    ):
        a.behave(path_prefix="/v1/chat", delay_s=0.05)
        alone = p95_ms(it)
        of = client(it)
        batch = begun(of, requests(LINES))
        until(lambda: asked(of, batch) > 20)
        beside = p95_ms(it)
        assert of.batches.retrieve(batch.id).status == "in_progress"
        of.batches.cancel(batch.id)
        assert ended(of, batch).status == "cancelled"
        print(f"{concurrent} at once: p95 {alone:.0f} ms alone, {beside:.0f} ms beside a batch")


def p95_ms(it: Gateway) -> float:
    times = []
    for _ in range(200):
        began = time.monotonic()
        assert it.chat().status_code == 200
        times.append((time.monotonic() - began) * 1000)
    return statistics.quantiles(times, n=20)[-1]
