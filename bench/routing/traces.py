"""Traces that others published, read from a file: Mooncake's, Azure's and BurstGPT's."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from bench.routing.prompts import Chain, Message, Turn, open_loop

MOONCAKE_BLOCK = 512
"""Tokens of one of its hash_ids (FAST25-release/README of kvcache-ai/Mooncake)."""

HEAPS = 4
"""Requests for each time there is in a trace, on average: from this on they come in heaps."""


class UnknownTrace(Exception):
    """The file is in none of the formats; the text says what was looked for."""


def read(
    path: Path, *, rate: float = 1.0, start_s: float = 0.0, seconds: float = 1e9
) -> list[Chain]:
    """An open loop of the trace's requests; the format is known by the first line, .gz is unpacked.

    rate: arrivals come so many times faster. start_s, seconds: a window, in the trace's time.
    Raises UnknownTrace; ValueError for a line that is not as the first ones promise.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as lines:
        first = lines.readline()
        rest = (line for line in _joined(first, lines) if line.strip())
        turns = list(_format(path, first)(rest))
    if not turns:
        return []
    began = min(turn.wait_s for turn in turns) + start_s
    window = [
        replace(turn, wait_s=(turn.wait_s - began) / rate)
        for turn in spread(turns)
        if 0 <= turn.wait_s - began < seconds
    ]
    return open_loop(window)


def spread(turns: Iterable[Turn]) -> list[Turn]:
    """Arrivals in heaps (Mooncake's conversations come all 3 s) take a place between theirs and the
    next heap's, at random but the same each time; other arrivals stay as they are."""
    turns = sorted(turns, key=lambda turn: turn.wait_s)
    times = sorted({turn.wait_s for turn in turns})
    if len(times) < 2 or len(turns) < HEAPS * len(times):
        return turns
    apart = dict(zip(times, (b - a for a, b in pairwise(times)), strict=False))
    apart[times[-1]] = min(apart.values())
    rng = Random(len(turns))
    return [replace(turn, wait_s=turn.wait_s + rng.random() * apart[turn.wait_s]) for turn in turns]


def _joined(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _format(path: Path, first: str) -> Callable[[Iterable[str]], Iterator[Turn]]:
    if first.startswith("{") and '"hash_ids"' in first:
        return _mooncake
    if first.startswith("TIMESTAMP,ContextTokens,GeneratedTokens"):
        return _azure
    if first.startswith("Timestamp,") and "Request tokens,Response tokens" in first:
        return _burstgpt
    raise UnknownTrace(
        f'{path}: no trace known here. Mooncake\'s lines are {{"timestamp": …, "hash_ids": …}}, '
        "Azure's CSV begins with TIMESTAMP,ContextTokens,GeneratedTokens, BurstGPT's with "
        "Timestamp,Model,Request tokens,Response tokens"
    )


def _mooncake(lines: Iterable[str]) -> Iterator[Turn]:
    """Equal ids are an equal prefix up to there. A prompt that begins with all full blocks of an
    earlier one goes on with that conversation; its messages end where earlier prompts ended."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    shared = 1 if len({row["hash_ids"][0] for row in rows if row["hash_ids"]}) == 1 else 0
    ends: dict[int, tuple[str, tuple[int, ...]]] = {}
    """Last full block of a prompt → its conversation, and after how many blocks its turns end."""
    for number, row in enumerate(rows):
        ids, tokens = row["hash_ids"], max(1, row["input_length"])
        earlier = next((each for each in reversed(ids[shared:]) if each in ends), None)
        session, cuts = ends[earlier] if earlier is not None else (f"t{number}", ())
        full = tokens // MOONCAKE_BLOCK
        if full > shared:
            ends[ids[full - 1]] = (session, (*cuts, full))
        bounds = sorted({shared, *(cut for cut in cuts if cut < len(ids))} | {len(ids)})
        messages, at = [], 0
        for bound in bounds:
            last = bound == len(ids)
            pieces = [(f"block {each}", MOONCAKE_BLOCK) for each in ids[at:bound]]
            if last and pieces:
                over = tokens - MOONCAKE_BLOCK * (len(ids) - 1)
                pieces[-1] = (pieces[-1][0], max(1, over))
            if pieces:
                system = shared and at == 0 and not last
                messages.append(Message("system" if system else "user", tuple(pieces)))
            at = bound
        yield Turn(session, row["timestamp"] / 1000, tuple(messages), max(1, row["output_length"]))


def _azure(lines: Iterable[str]) -> Iterator[Turn]:
    """It tells lengths only: no prompt begins as another."""
    for number, row in enumerate(csv.DictReader(lines)):
        # 2023-11-16 18:17:03.9799600: a digit more than Python reads
        at = datetime.fromisoformat(row["TIMESTAMP"].partition("+")[0][:26]).timestamp()
        yield _unshared(number, at, row["ContextTokens"], row["GeneratedTokens"])


def _burstgpt(lines: Iterable[str]) -> Iterator[Turn]:
    """It tells lengths only. Requests without an answer failed there, and are left out."""
    for number, row in enumerate(csv.DictReader(lines)):
        if int(float(row["Response tokens"])) > 0:
            yield _unshared(
                number, float(row["Timestamp"]), row["Request tokens"], row["Response tokens"], row
            )


def _unshared(
    number: int, at: float, prompt: str, answer: str, row: Mapping[str, str] | None = None
) -> Turn:
    session = (row or {}).get("Session ID") or f"t{number}"
    pieces = ((f"row {number}", max(1, int(float(prompt)))),)
    return Turn(session, at, (Message("user", pieces),), max(1, int(float(answer))))
