"""What is said of now: from the end of the log, and no more of it than was written since."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from infergate.admin.activity import OTHERS, Activity
from infergate.admin.gateway import Gateway
from infergate.admin.live import live
from infergate.admin.newest import NewestFirst
from infergate.admin.requests import list_requests
from infergate.config.load import load_config
from infergate.metrics.steps import percentile_s, step_of
from infergate.nginx.access_line import FIRST_CHUNK
from infergate.paths import Home
from tests.admin_api import CONFIG


def line(number: int, **more: Any) -> str:
    entry = {
        "ts": time.time(),
        "status": 200,
        "ip": "127.0.0.1",
        "v": 2,
        "id": f"id-{number}",
        "method": "POST",
        "uri": "/v1/chat/completions",
        "key": "alice",
        "error": "",
        "model_asked": "m",
        "gen_ai.request.model": "m",
        "backend": "a",
        "attempts": [{"backend": "a", "status": 200, "header_time": 0.1, "response_time": 0.4}],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "request_time": 0.5,
        "queue_ms": 100,
        "completed": True,
        **more,
    }
    return json.dumps(entry) + "\n"


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    home = Home(tmp_path)
    for each in (home.state, home.run, home.logs):
        each.mkdir(parents=True)
    file = tmp_path / "infergate.yaml"
    file.write_text(CONFIG)
    return Gateway(load_config(file, {}), home)


def write(gateway: Gateway, *lines: str) -> None:
    with gateway.home.access_log.open("a") as log:
        log.write("".join(lines))


def test_requests_of_the_last_hour_are_told_by_model(gateway: Gateway) -> None:
    write(gateway, line(1), line(2, status=502), line(3, ts=time.time() - 7200))
    found = live(gateway)
    (model,) = found.models
    assert (model.model, model.requests, model.errors) == ("m", 2, 1)
    assert sum(each.requests for each in found.minutes) == 2
    assert not found.running


def test_the_first_byte_is_when_the_client_had_it(gateway: Gateway) -> None:
    """The queue and earlier attempts are of it: 0.5 s in all, 0.3 of them after the first byte."""
    write(gateway, *(line(number) for number in range(20)))
    (model,) = live(gateway).models
    assert model.first_byte_p95_s == pytest.approx(0.2, rel=0.08)


def test_of_a_stream_it_is_the_first_piece_of_the_body(gateway: Gateway) -> None:
    """vLLM sends its head long before it."""
    write(gateway, *(line(number, **{FIRST_CHUNK: 0.4}) for number in range(20)))
    (model,) = live(gateway).models
    assert model.first_byte_p95_s == pytest.approx(0.4, rel=0.08)


def test_each_question_hears_what_is_new_since_the_last_one(gateway: Gateway) -> None:
    write(gateway, line(1), line(2))
    first = live(gateway)
    assert [each["id"] for each in first.requests] == ["id-2", "id-1"]
    assert live(gateway, after=first.next).requests == []
    write(gateway, line(3))
    assert [each["id"] for each in live(gateway, after=first.next).requests] == ["id-3"]


def test_a_log_that_is_renamed_is_read_on(gateway: Gateway) -> None:
    write(gateway, line(1))
    first = live(gateway)
    log = gateway.home.access_log
    log.rename(log.with_name("access.log.20261130T010203"))
    write(gateway, line(2))
    assert [each["id"] for each in live(gateway, after=first.next).requests] == ["id-2"]


def test_of_a_long_log_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    long = line(0, why="x" * 2000)
    count = 9 * 1024**2 // len(long)
    log.write_text(long * count + line(1))
    activity = Activity(log)
    minutes = activity.look(time.time())
    requests = sum(each.requests for models in minutes.values() for each in models.values())
    assert 0 < requests < count
    assert next(activity.newest()).entry["id"] == "id-1"


def test_lines_that_are_odd_count_as_nothing(gateway: Gateway) -> None:
    odd = ("{}\n", "x\n", "[]\n", line(1, ts="x"), line(2, attempts=[{}]), line(3, status=1e400))
    write(gateway, *odd, line(4, request_time=float("nan")))
    assert sum(each.requests for each in live(gateway).models) <= 1


def test_a_thousand_model_names_take_bounded_memory(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(line(n, **{"gen_ai.request.model": f"m{n}"}) for n in range(1000)))
    minutes = Activity(log).look(time.time())
    names = {name for models in minutes.values() for name in models}
    assert OTHERS in names
    assert all(len(models) <= 501 for models in minutes.values())


def test_a_percentile_is_within_8_percent() -> None:
    counts: dict[int, int] = {}
    for milliseconds in range(1, 1001):
        step = step_of(milliseconds / 1000)
        counts[step] = counts.get(step, 0) + 1
    assert percentile_s(counts, 0.95) == pytest.approx(0.95, rel=0.08)
    assert percentile_s({}, 0.95) is None


def test_requests_are_listed_newest_first_over_rotated_files(gateway: Gateway) -> None:
    log = gateway.home.access_log
    write(gateway, line(1), line(2))
    log.rename(log.with_name("access.log.20261130T010203"))
    write(gateway, line(3), line(4))
    page = list_requests(gateway, limit=3)
    assert [each["id"] for each in page.items] == ["id-4", "id-3", "id-2"]
    rest = list_requests(gateway, limit=3, after=page.next or 0)
    assert [each["id"] for each in rest.items] == ["id-1"]
    assert rest.next is None
    assert rest.back_to is None


def test_requests_are_found_by_what_they_were(gateway: Gateway) -> None:
    write(
        gateway,
        line(1, key="bob"),
        line(2, status=503, error="x"),
        line(3, status=404, **{"gen_ai.request.model": "", "model_asked": "typo"}),
        line(4, backend="b"),
    )

    def ids(**asked: Any) -> list[str]:
        return [each["id"] for each in list_requests(gateway, **asked).items]

    assert ids(key="bob") == ["id-1"]
    assert ids(status="5xx") == ["id-2"]
    assert ids(status="404") == ["id-3"]
    assert ids(failed=True) == ["id-3", "id-2"]
    assert ids(model="typo") == ["id-3"]
    assert ids(backend="b") == ["id-4"]


def test_lines_are_whole_wherever_a_block_ends(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    lines = [f"{number} ".encode() + b"x" * (number * 37 % 5000) for number in range(1000)]
    log.write_bytes(b"\n".join(lines) + b"\n")
    found = NewestFirst(log, 1024**3)
    assert list(found) == lines[::-1]
    assert not found.cut
    short = NewestFirst(log, 300_000)
    some = list(short)
    assert short.cut
    assert some == lines[::-1][: len(some)]


def test_what_a_request_cost_is_what_the_ledger_counts() -> None:
    from infergate.config.usage import Price
    from infergate.ledger.count import count
    from infergate.ledger.line import read_line
    from infergate.ledger.measures import Measures
    from infergate.ledger.prices import nano_of

    price = Price.model_validate(
        {"input": "0.5", "output": "1.5", "per_request": "0.01", "per_second": "0.2"}
    )
    full = {
        "gen_ai.usage.cache_read.input_tokens": 3,
        "tokens_estimated": False,
        "why": "",
    }
    for text in (line(1, **full), line(2, status=502, **full), line(3, cache="HIT", **full)):
        sums = count(text, lambda _model: price, Measures()).sums
        counted = next(of[-1] for group, of in sums.items() if group.period == "m")
        read = read_line(text.strip())
        assert read is not None
        assert nano_of(read, price) == counted
