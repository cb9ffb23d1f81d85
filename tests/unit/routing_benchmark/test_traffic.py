"""The traffic of the routing benchmark: made up with stated statistics, or read from traces."""

from __future__ import annotations

import gzip
import json
import statistics
from itertools import pairwise
from pathlib import Path

import pytest

from bench.routing.prompts import CHARACTERS, Turn, blocks_of, body, text
from bench.routing.scenarios import SCENARIOS, TWELVE
from bench.routing.traces import UnknownTrace, read, spread
from bench.routing.workloads import (
    AGENTIC,
    CONVERSATION,
    SYNTHETIC,
    Hardware,
    agents,
    conversations,
    work_s,
)

A100 = Hardware()


def content(turn: Turn) -> str:
    messages = json.loads(body(turn, 1))["messages"]
    return "".join(message["content"] for message in messages)


def test_the_same_seed_makes_the_same_traffic_and_another_another() -> None:
    made = [conversations(CONVERSATION, A100, 1, 0.5, 60.0, seed) for seed in (1, 1, 2)]
    assert made[0] == made[1]
    assert made[0] != made[2]


@pytest.fixture(scope="module")
def talk() -> list[Turn]:
    return [turn for (turn,) in conversations(CONVERSATION, A100, 6, 0.8, 600.0, 1)]


def test_conversations_have_the_statistics_that_are_stated(talk: list[Turn]) -> None:
    turns = talk
    prompts = sorted(turn.prompt_tokens for turn in turns)
    assert statistics.mean(prompts) == pytest.approx(12_035, rel=0.15)
    assert prompts[len(prompts) // 2] == pytest.approx(6_909, rel=0.15)
    assert prompts[int(len(prompts) * 0.95)] == pytest.approx(39_552, rel=0.15)
    assert statistics.mean(turn.output_tokens for turn in turns) == pytest.approx(343, rel=0.1)


def test_documents_are_asked_more_than_once() -> None:
    turns = [turn for (turn,) in conversations(SYNTHETIC, A100, 4, 0.8, 600.0, 1)]
    prompts = sorted(turn.prompt_tokens for turn in turns)
    assert prompts[len(prompts) // 4] < 1_000 < 8_000 < prompts[len(prompts) // 2]


def test_the_load_is_met_and_arrivals_are_in_order(talk: list[Turn]) -> None:
    assert work_s(talk, A100) / 600.0 / 6 == pytest.approx(0.8, rel=0.05)
    waits = [turn.wait_s for turn in talk]
    assert waits == sorted(waits)
    assert waits[-1] < 600.0


def test_agents_have_a_turn_that_goes_on_with_the_one_before() -> None:
    chains = agents(AGENTIC, 5, 300.0, 1)
    assert len(chains) == 5
    for chain in chains:
        pairs = [(a, b) for a, b in pairwise(chain) if a.session == b.session]
        grown = [b.messages[: len(a.messages)] == a.messages for a, b in pairs]
        assert grown.count(False) <= len(grown) // 20, "but for one that is compacted"
        assert sum(turn.wait_s for turn in chain) > 0


def test_agents_share_a_few_openings() -> None:
    openings = {chain[0].messages[0] for chain in agents(AGENTIC, 40, 60.0, 1)}
    assert 2 <= len(openings) <= 6
    assert all(10_000 <= opening.tokens <= 20_000 for opening in openings)


def test_a_prompt_has_as_many_tokens_as_is_said_and_begins_as_the_one_before() -> None:
    first, second = agents(AGENTIC, 1, 600.0, 2)[0][:2]
    assert len(content(first)) == first.prompt_tokens * CHARACTERS
    assert content(second).startswith(content(first))


def test_a_text_is_a_beginning_of_a_longer_one_of_the_same_seed() -> None:
    assert text("a", 500).startswith(text("a", 100))
    assert text("a", 100) != text("b", 100)


def test_another_salt_gives_other_words_of_the_same_length() -> None:
    turn = agents(AGENTIC, 1, 60.0, 2)[0][0]
    assert body(turn, 1, "again") != body(turn, 1)
    assert len(body(turn, 1, "again")) == len(body(turn, 1))


def test_blocks_are_chained_and_only_full_ones_count() -> None:
    one, other = blocks_of(text("a", 250), 100), blocks_of("x" + text("a", 250)[1:], 100)
    assert len(one) == 2
    assert one[0] != other[0]
    assert one[1] != other[1], "the same text after another beginning"
    assert blocks_of(text("a", 400), 100)[:2] == one


def test_the_scenarios_are_twelve_and_have_traffic() -> None:
    assert len(TWELVE) == 12
    assert {each.engines for each in TWELVE} == {2, 4, 8}
    assert all(scenario.name == name for name, scenario in SCENARIOS.items())
    for name in ("agentic-4", "boxes-4"):
        assert SCENARIOS[name].short().traffic(1)


def mooncake(file: Path, rows: list[tuple[int, int, list[int]]]) -> Path:
    lines = [
        json.dumps({"timestamp": at, "input_length": n, "output_length": 7, "hash_ids": ids})
        for at, n, ids in rows
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_mooncakes_traces_are_read_with_their_prefixes(tmp_path: Path) -> None:
    file = mooncake(
        tmp_path / "trace.jsonl",
        [(0, 1100, [0, 1, 2]), (500, 600, [0, 9]), (2000, 1600, [0, 1, 3, 4])],
    )
    first, other, later = (chain[0] for chain in read(file))
    assert [turn.wait_s for turn in (first, other, later)] == [0.0, 0.5, 2.0]
    assert [turn.prompt_tokens for turn in (first, other, later)] == [1100, 600, 1600]
    assert first.output_tokens == 7
    assert first.session == later.session != other.session
    assert [message.role for message in later.messages] == ["system", "user", "user"]
    texts = [content(turn) for turn in (first, other, later)]
    assert texts[2].startswith(texts[0][: 1024 * CHARACTERS])
    assert texts[2][: 1100 * CHARACTERS] != texts[0]
    assert texts[1].startswith(texts[0][: 512 * CHARACTERS])


def test_a_window_of_a_trace_comes_at_another_pace(tmp_path: Path) -> None:
    rows = [(at * 1000, 100, [at]) for at in range(10, 20)]
    file = mooncake(tmp_path / "trace.jsonl", rows)
    packed = tmp_path / "trace.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    turns = [turn for (turn,) in read(packed, rate=2.0, start_s=3.0, seconds=4.0)]
    assert [turn.wait_s for turn in turns] == [0.0, 0.5, 1.0, 1.5]


def test_arrivals_in_heaps_are_spread_and_others_are_not() -> None:
    heap = [Turn(str(n), 3.0 * (n // 10), (), 1) for n in range(30)]
    apart = spread(heap)
    assert len({turn.wait_s for turn in apart}) == 30
    for turn in apart:
        heap_at = 3.0 * (int(turn.session) // 10)
        assert heap_at <= turn.wait_s < heap_at + 3.0
    alone = [Turn(str(n), float(n), (), 1) for n in range(30)]
    assert spread(alone) == alone


def test_azures_traces_are_read(tmp_path: Path) -> None:
    file = tmp_path / "azure.csv"
    file.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.4799600,110,27\n"
    )
    first, second = (chain[0] for chain in read(file))
    assert (first.wait_s, first.prompt_tokens, first.output_tokens) == (0.0, 4808, 10)
    assert (second.wait_s, second.prompt_tokens, second.output_tokens) == (0.5, 110, 27)
    assert not content(first).startswith(content(second)), "nothing is shared"


def test_burstgpts_traces_are_read_without_what_failed(tmp_path: Path) -> None:
    file = tmp_path / "burst.csv"
    file.write_text(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,0,1087,Conversation log\n"
        "118,GPT-4,417,276,693,Conversation log\n"
    )
    turns = [chain[0] for chain in read(file)]
    assert [turn.wait_s for turn in turns] == [0.0, 113.0]
    assert [turn.prompt_tokens for turn in turns] == [472, 417]


def test_a_file_in_another_format_is_refused_with_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("when,what\n1,2\n")
    with pytest.raises(UnknownTrace, match=r"Mooncake's.*Azure's.*BurstGPT's"):
        read(file)
