"""Lines of the access log are understood, and what is none is not taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from infergate.ledger.line import Attempt, read_line, request_in
from tests.access_log import NO_TOKENS, line, line_1, told


@pytest.mark.parametrize("written", [line, line_1])
def test_a_request_with_tokens(written: Callable[[], str]) -> None:
    found = read_line(written())
    assert found is not None
    assert found[:11] == (1_795_000_000, "ci", "m", "a", False, 7, 5, 2, False, 250, 0)
    assert (found.status, found.error, found.uri) == (200, "", "/v1/chat/completions")
    assert found.attempts == (Attempt("a", 200, 120),)
    assert (found.completed, found.cache, found.service) == (True, "", "")


def test_tokens_that_the_gateway_counted_itself_are_marked() -> None:
    for text in (line(**told(7, 5, 0, estimated=True)), line_1(tokens=[7, 5, 0, 1])):
        found = read_line(text)
        assert found is not None
        assert (found.estimated, found.prompt, found.completion) == (True, 7, 5)


@pytest.mark.parametrize(("status", "failed"), [(200, False), (399, False), (400, True), (0, True)])
def test_what_failed(status: int, failed: bool) -> None:
    for text in (line(status=status, **NO_TOKENS), line_1(status=status, tokens=None)):
        found = read_line(text)
        assert found is not None
        assert (found.failed, found.prompt) == (failed, 0)


def test_no_more_is_cached_than_a_prompt_has() -> None:
    found = read_line(line(**told(7, 5, 99)))
    assert found is not None
    assert (found.prompt, found.completion, found.cached) == (7, 5, 7)


@pytest.mark.parametrize("number", ["1e308", "1e19", "10000000000000000000", "-1", "7.5", "true"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_numbers_of_tokens_that_are_none_are_no_request(number: str, place: int) -> None:
    tokens: list[object] = [7, 5, 2]
    tokens[place] = json.loads(number)
    assert read_line(line(**told(*tokens))) is None
    assert read_line(line_1(tokens=tokens)) is None


@pytest.mark.parametrize("name", ["ts", "request_time"])
@pytest.mark.parametrize("value", [1e308, float("nan"), float("inf"), -1, 2.0**41])
def test_times_that_are_none_are_no_request(name: str, value: float) -> None:
    assert read_line(line(**{name: value})) is None


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({"status": 503, "error": "no_backend"}, "no_backend"),
        ({"status": 503, "error": ""}, "503"),
        ({"status": 503, "error": "<x>" * 1000}, "503"),
        ({"status": 200, "error": "stream_truncated"}, "stream_truncated"),
        ({"status": 0, "error": ""}, ""),
    ],
)
def test_an_error_is_a_few_words_or_the_status(said: dict[str, object], known: str) -> None:
    found = read_line(line(**said, **NO_TOKENS))
    assert found is not None
    assert found.error == known


@pytest.mark.parametrize(
    "attempts", [7, "a", [7], [{}], [{"backend": "a", "status": 200, "header_time": "x"}]]
)
def test_attempts_that_are_none_are_no_request(attempts: object) -> None:
    assert read_line(line(attempts=attempts)) is None


@pytest.mark.parametrize("name", ["key", "gen_ai.request.model", "backend"])
@pytest.mark.parametrize("value", [7, None, ["m"], {"m": 1}])
def test_names_that_are_no_text_are_no_request(name: str, value: object) -> None:
    assert read_line(line(**{name: value})) is None


def test_half_a_surrogate_pair_in_a_name_is_replaced() -> None:
    found = read_line(json.dumps({**json.loads(line()), "gen_ai.request.model": "m\ud800"}))
    assert found is not None
    assert found.model == "m?"


def test_a_line_behind_a_torn_one_is_found() -> None:
    torn = line()[:100]
    assert read_line(torn + line(key="next")) == read_line(line(key="next"))


def test_what_a_client_writes_cannot_pass_for_a_line() -> None:
    forged = line(key="victim").strip()
    found = read_line(line()[:-20] + forged.replace('"', '\\"'))
    assert found is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "[]",
        "[" * 100_000,
        '{"ts":' * 100_000,
        "null",
        "\0" * 50,
        line(v=1),
        line(v=3),
        line_1(v=2),
        line(ts="x"),
        line_1(tokens="many"),
        line_1(tokens=[1, 2]),
        line_1(tried=7),
        line(tokens_estimated=1),
        line(tokens_estimated=None),
        line(**told(None, 5, 0)),
    ],
)
def test_what_is_no_request_is_none(text: str) -> None:
    assert read_line(text) is None


def test_a_name_that_no_column_takes_is_cut() -> None:
    found = read_line(line(**{"gen_ai.request.model": "x" * 300 + "\0"}))
    assert found is not None
    assert found.model == "x" * 256


def test_a_line_of_version_1_is_read_as_version_2() -> None:
    told_1 = request_in(
        line_1(
            tried="a,b,",
            backend="c",
            upstream_status="530 : 502, 502 : 504 : 200",
            upstream_header_time="0.000 : -, - : - : 0.120",
            why="asked b too after 40 ms;",
            completed="",
        )
    )
    assert told_1 is not None
    assert (told_1["gen_ai.request.model"], told_1["model_asked"], told_1["completed"]) == (
        "m",
        None,
        False,
    )
    seen = [(each["backend"], each["status"], each["header_time"]) for each in told_1["attempts"]]
    assert seen == [("a", 504, None), ("b", None, None), ("c", 200, 0.12)]
    since = {"time", "protocol", "referer", "forwarded_for"}
    assert set(json.loads(line())) - since <= set(told_1)
    assert request_in(line_1(tokens=7)) is None
