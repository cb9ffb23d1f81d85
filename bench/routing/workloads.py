"""Traffic of stated statistics: conversations that come by the clock, agents that wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from bench.routing.draws import Draw, geometric, lognormal, mixed, normal, uniform, zipf
from bench.routing.engine import Hardware
from bench.routing.prompts import Chain, Message, Turn, open_loop

HISTORY_S = 1200.0
"""Conversations that began so long before the start still go on."""


@dataclass(frozen=True)
class Workload:
    """What conversations are like. Lengths in tokens, times in seconds.

    openings, opening: so many system messages, all but one rarer by Zipf's law, and their length.
    first: the first message; grows: what each later turn adds, without the answer before it.
    turns: of a conversation; answer: length of each. gap: from one arrival to the next, or in a
        closed loop from the end of an answer to the next turn.
    longest: a prompt that is longer begins anew with `kept` tokens, as agents compact theirs.
    models: asked for, by Zipf's law.
    """

    name: str
    openings: int
    opening: Draw
    first: Draw
    turns: Draw
    grows: Draw
    answer: Draw
    gap: Draw
    longest: int = 120_000
    kept: int = 20_000
    models: tuple[str, ...] = ("m",)


CONVERSATION = Workload(
    "conversation",
    openings=1,
    opening=uniform(512, 512),
    first=lognormal(5_900, 38_000, 110_000),
    turns=geometric(1.5),
    grows=lognormal(470, 7_400, 60_000),
    answer=normal(345, 210),
    gap=lognormal(123, 606),
)
"""As in Mooncake's trace `conversation` (FAST '25; 12,031 requests of an hour), of which the
numbers are: first prompts' median 5,900 and p95 38,000 tokens, 1.5 turns (p99 7), growth 470 and
7,400, gaps 123 and 606 s, answers 343 on average, p95 698; 37 % of the tokens are in an earlier
prompt."""

SYNTHETIC = Workload(
    "synthetic",
    openings=1,
    opening=uniform(0, 0),
    first=lognormal(20_000, 45_000, 110_000),
    turns=geometric(3),
    grows=uniform(20, 300),
    answer=lognormal(69, 519, 2_000),
    gap=lognormal(48, 350),
)
"""As in Mooncake's trace `synthetic` (3,993 requests in 17 minutes): documents that several
questions are asked of; median 11,600, p95 49,000 tokens; answers 69 and 519; 64 % in an earlier
prompt. Of three conversations two are short ones (`_SHORT`)."""

_SHORT = Workload(
    "short",
    openings=1,
    opening=uniform(0, 0),
    first=lognormal(50, 400),
    turns=geometric(1),
    grows=uniform(20, 300),
    answer=lognormal(69, 519, 2_000),
    gap=lognormal(48, 350),
)

AGENTIC = Workload(
    "agentic",
    openings=6,
    opening=uniform(10_000, 20_000),
    first=uniform(500, 3_000),
    turns=uniform(20, 60),
    grows=uniform(1_000, 5_000),
    answer=lognormal(250, 1_500, 4_000),
    gap=mixed(1 / 8, lognormal(60, 470), lognormal(3, 34, 120)),
    longest=190_000,
)
"""Coding agents: a system prompt with tools, of a few versions; each step adds an answer and a
tool's result; a tool takes 3 s (90 % below 20), and one step in eight waits for a person. The
sessions of TraceLab (University of Washington: 357,161 steps, 95.8 % of the tokens cached) are
longer: 84 steps, 154,000 tokens a prompt."""

BOXES = Workload(
    "boxes",
    openings=12,
    opening=uniform(100, 400),
    first=mixed(1 / 6, uniform(2_000, 8_000), uniform(30, 1_500)),
    turns=uniform(1, 8),
    grows=mixed(0.5, uniform(30, 1_500), uniform(30, 200)),
    answer=uniform(150, 400),
    gap=uniform(30, 100),
    models=("m0", "m1", "m2", "m3", "m4", "m5"),
)
"""Small chats with six models, on boxes that have memory for two of them. Numbers are made up."""


def _turns(workload: Workload, rng: Random, session: str) -> Iterator[tuple[float, Turn]]:
    """One conversation: seconds to wait before each turn, and the turn."""
    which = zipf(rng, workload.openings)
    sized = Random(f"{workload.name} {which}")
    opening = round(workload.opening(sized))
    name = f"{workload.name} {which}"
    head = (Message("system", ((name, opening),)),) if opening else ()
    model = workload.models[zipf(rng, len(workload.models))]
    said = [Message("user", ((f"{session} 0", max(1, round(workload.first(rng)))),))]
    for turn in range(1, 1 + max(1, round(workload.turns(rng)))):
        answer = max(2, round(workload.answer(rng)))
        asked = Turn(session, 0.0, (*head, *said), answer, model)
        if asked.prompt_tokens > workload.longest:
            said = [Message("user", ((f"{session} {turn} anew", workload.kept),))]
            asked = Turn(session, 0.0, (*head, *said), answer, model)
        yield (0.0 if turn == 1 else workload.gap(rng)), asked
        said.append(Message("assistant", ((f"{session} {turn} answer", answer),)))
        more = max(1, round(workload.grows(rng)))
        said.append(Message("user", ((f"{session} {turn}", more),)))


def _at(turn: Turn, wait_s: float) -> Turn:
    return Turn(turn.session, wait_s, turn.messages, turn.output_tokens, turn.model)


def _conversations(workload: Workload, a_second: float, seconds: float, seed: int) -> list[Turn]:
    """Turns by their arrival; conversations begin as a Poisson process, each the same whatever the
    pace."""
    rng, began, number = Random(seed), -HISTORY_S, 0
    turns = []
    while (began := began + rng.expovariate(1.0) / a_second) < seconds:
        number += 1
        own = Random(f"{seed} {number}")
        short = workload is SYNTHETIC and own.random() < 2 / 3
        arrives = began
        for gap, turn in _turns(_SHORT if short else workload, own, f"s{seed}-{number}"):
            arrives += gap
            if 0 <= arrives < seconds:
                turns.append(_at(turn, arrives))
    return turns


def conversations(
    workload: Workload, hardware: Hardware, engines: int, load: float, seconds: float, seed: int
) -> list[Chain]:
    """An open loop: requests come however long the answers take. load: of what the engines can do,
    see `work_s`, met by how often a conversation begins, to a few hundredths."""
    a_second = load * engines / 8  # a guess
    for _ in range(6):  # at another pace there are others in the window
        turns = _conversations(workload, a_second, seconds, seed)
        missed = load * seconds * engines / work_s(turns, hardware)
        if abs(missed - 1) < 0.02:
            break
        a_second *= missed
    return open_loop(turns)


def agents(workload: Workload, sessions: int, seconds: float, seed: int) -> list[Chain]:
    """A closed loop: always so many sessions, in each of which a turn waits for the answer before
    it. They begin within a minute, somewhere in their first quarter, because no cache has what they
    said before; each is followed by another one."""
    chains = []
    for place in range(sessions):
        rng = Random(f"{seed} {place}")
        chain: list[Turn] = []
        number, waited_s = 0, 0.0
        while waited_s < seconds:
            turns = list(_turns(workload, rng, f"a{seed}-{place}-{number}"))
            for gap, turn in turns[0 if number else rng.randrange(max(1, len(turns) // 4)) :]:
                wait_s = gap if chain else rng.uniform(0, 60)
                waited_s += wait_s + 1
                chain.append(_at(turn, wait_s))
            number += 1
        chains.append(tuple(chain))
    return chains


def work_s(turns: list[Turn], hardware: Hardware, reused: float = 0.5) -> float:
    """Seconds of one engine for all of them. reused: this share of what an earlier prompt began
    with is taken as found in the cache. A half: with none, a router that knows no caches would set
    what the engines can do; with all, nobody would reach it."""
    seen: set[tuple[str, str]] = set()
    total = 0.0
    for turn in sorted(turns, key=lambda each: each.wait_s):
        earlier, known = 0, True
        for message in turn.messages:
            for seed, tokens in message.pieces:
                known = known and (turn.model, seed) in seen
                earlier += tokens if known else 0
                seen.add((turn.model, seed))
        prompt = turn.prompt_tokens
        total += hardware.prefill_s(round(min(earlier, prompt - 1) * reused), prompt)
        # A step is shared by all that decode in it; a sixteenth of it is each one's, at best.
        each_s = (
            hardware.step_s / min(16, hardware.max_num_seqs)
            + hardware.sequence_s
            + prompt * hardware.context_token_s
        )
        total += turn.output_tokens * each_s
    return total
