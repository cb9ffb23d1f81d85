"""Lines of the access log are understood, and what is none is not taken for one."""

from __future__ import annotations

import json

import pytest

from infergate.ledger.line import Line, read_line
from tests.access_log import line


def test_a_request_with_tokens() -> None:
    assert read_line(line()) == Line(1_795_000_000, "ci", "m", "a", False, 7, 5, 2, False, 250, 0)


def test_tokens_that_the_gateway_counted_itself_are_marked() -> None:
    found = read_line(line(tokens=[7, 5, 0, 1]))
    assert found is not None
    assert found.estimated


@pytest.mark.parametrize(("status", "failed"), [(200, False), (399, False), (400, True), (0, True)])
def test_what_failed(status: int, failed: bool) -> None:
    found = read_line(line(status=status, tokens=None))
    assert found is not None
    assert (found.failed, found.prompt) == (failed, 0)


def test_no_more_is_cached_than_a_prompt_has() -> None:
    found = read_line(line(tokens=[7, 5, 99]))
    assert found is not None
    assert (found.prompt, found.completion, found.cached) == (7, 5, 7)


@pytest.mark.parametrize("number", ["1e308", "1e19", "10000000000000000000", "-1", "7.5", "true"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_numbers_of_tokens_that_are_none_are_no_request(number: str, place: int) -> None:
    tokens: list[object] = [7, 5, 2]
    tokens[place] = json.loads(number)
    assert read_line(line(tokens=tokens)) is None


@pytest.mark.parametrize("name", ["ts", "request_time"])
@pytest.mark.parametrize("value", [1e308, float("nan"), float("inf"), -1, 2.0**41])
def test_times_that_are_none_are_no_request(name: str, value: float) -> None:
    assert read_line(line(**{name: value})) is None


@pytest.mark.parametrize("name", ["key", "model", "backend"])
@pytest.mark.parametrize("value", [7, None, ["m"], {"m": 1}])
def test_names_that_are_no_text_are_no_request(name: str, value: object) -> None:
    assert read_line(line(**{name: value})) is None


def test_half_a_surrogate_pair_in_a_name_is_replaced() -> None:
    found = read_line(json.dumps({**json.loads(line()), "model": "m\ud800"}))
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
        line(v=2),
        line(ts="x"),
        line(tokens="many"),
    ],
)
def test_what_is_no_request_is_none(text: str) -> None:
    assert read_line(text) is None


def test_a_name_that_no_column_takes_is_cut() -> None:
    found = read_line(line(model="x" * 300 + "\0"))
    assert found is not None
    assert found.model == "x" * 256
