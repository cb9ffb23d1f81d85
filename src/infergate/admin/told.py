"""One request in words, from its line in the access log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infergate.contract.live import Score
from infergate.contract.numbers import BYTES_PER_TOKEN, PROMPT_BLOCK
from infergate.nginx.access_line import FIRST_CHUNK

_DUE = "first byte "
"""How the time of the first byte begins, with the rule that set it (njs/first_byte.js)."""
_SCORE = re.compile(r"(.+)=(-?[\d.e+]+)(?::([\d.,]+))?")
"""name=score, and with balance: work the terms of its sum (njs/work.js)."""
_CACHE = {
    "HIT": "a kept answer was given again",
    "MISS": "no answer was kept; this one is, if it is good",
    "EXPIRED": "the kept answer was too old for its backend's word",
    "BYPASS": "not asked: the request says no-store",
}


def told(entry: Mapping[str, Any]) -> Iterator[str]:
    """One request in words, from its line in the log (ledger/line.py: request_in)."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["ts"]))
    yield f"Request {entry['id']}"
    yield f"  {entry['method']} {entry['uri']} at {when}: {_outcome(entry)}"

    def row(name: str, value: object) -> str:
        return f"  {name:<12}{value}"

    why = entry.get("why", "")
    yield row("key", entry["key"] or "none")
    model, asked = entry["gen_ai.request.model"], entry["model_asked"]
    known = f"{model or 'none'}"
    yield row("model", known if asked in (None, "", model) else f"{known}, asked for as {asked}")
    if entry.get("cache"):
        yield row("cache", _CACHE.get(entry["cache"], entry["cache"]))
    if entry["queue_ms"]:
        yield row("queue", f"waited {entry['queue_ms']} ms")
    for index, step in enumerate(steps(why)):
        due = step.removeprefix(_DUE)
        name = "route" if index == 0 else ""
        yield row(name, step) if due == step else row(_DUE.strip(), due)
    if entry["attempts"]:
        yield row("attempts", len(entry["attempts"]))
        for each in entry["attempts"]:
            first_byte_s = each["header_time"]
            after = (
                "no first byte" if first_byte_s is None else f"first byte after {first_byte_s} s"
            )
            status = "no status" if each["status"] is None else each["status"]
            yield row("", f"{each['backend']}: {status}, {after}")
    first_s = entry.get(FIRST_CHUNK)
    first = "" if first_s is None else f"first piece of the stream after {first_s} s, "
    yield row("time", f"{first}{entry['request_time']} s in all, {entry['bytes_sent']} bytes sent")
    prompt = entry["gen_ai.usage.input_tokens"]
    if prompt is not None:
        answer = entry["gen_ai.usage.output_tokens"]
        cached = entry["gen_ai.usage.cache_read.input_tokens"]
        how = ", counted here" * bool(entry["tokens_estimated"])
        known = f", {cached} of them cached" if cached else ""
        yield row("tokens", f"{prompt} in{known}, {answer} out{how}")


def _outcome(entry: Mapping[str, Any]) -> str:
    if entry["status"] == 499 or (not entry["completed"] and not entry["error"]):
        return f"{entry['status']}, the client left"
    return f"{entry['status']}" + (f" {entry['error']}" if entry["error"] else "")


def steps(why: str) -> Iterator[str]:
    """What njs noted on the way, one decision a line: scores together, lowest chosen."""
    scores: list[tuple[str, str]] = []
    terms: list[str] = []
    sums: dict[str, list[float]] = {}
    unit = " ms" if why.startswith("work;") else ""
    idle = ""  # what it costs at one that does nothing, which is told once
    for part in (each for each in why.split(";") if each):
        match = _SCORE.fullmatch(part)
        if match:
            scores.append((match[1], match[2]))
            if match[3]:
                sums[match[1]] = list(map(float, match[3].split(",")))
                terms.append(_sum(match[1], sums[match[1]], match[2]))
                idle = match[2] if match[3].startswith("0,") else idle
            elif match[2] == idle:
                terms.append(f"{match[1]}: the same, for it does nothing either")
            continue
        full = part.endswith((" full", " open", " drained"))
        if scores and not full:
            yield _choice(scores, unit)
            yield from terms
            yield from _known(scores, sums)
            scores, terms, sums = [], [], {}
        if full:
            yield part.replace(" open", ": its breaker is open")
        else:
            yield part
    if scores:
        yield _choice(scores, unit)
        yield from terms
        yield from _known(scores, sums)


def _sum(name: str, terms: Sequence[float], score: str) -> str:
    """The terms of njs/work.js, so that its sum can be done again with a pencil."""
    pending, uncached, busy, full, capacity, *more = terms
    speed, others, share, load = more or (8.0, 0.0, 1.0, 0.0)  # njs/work.js: what is usual
    for_weight = "" if share == 1 else f" / {share:g} for its weight"
    parts = [
        f"({pending:.0f} tokens pending + 3 x {uncached:.0f} not in its cache) / {speed:g} a ms",
        f"50 x {busy:g} in flight{for_weight}",
        f"50 x {others:g} of others{for_weight}" if others else "",
        f"{_filled(full / capacity):g} for a KV cache with {full:.0f} of {capacity:.0f} tokens",
        f"{load:g} to load the model or wait for a slot" if load else "",
    ]
    return f"{name}: {' + '.join(filter(None, parts))} = {_score(score)}"


def _known(scores: Sequence[tuple[str, str]], sums: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """What the chosen one should have in its cache, where that can be told: what fills an idle
    backend is the prompt itself, and blocks are all that is known of it (njs/blocks.js)."""
    name = _lowest(scores)
    idle = [full for _, _, busy, full, *_ in sums.values() if busy == 0]
    if name not in sums or not idle or idle[0] * BYTES_PER_TOKEN < PROMPT_BLOCK:
        return
    known = max(0.0, idle[0] - sums[name][1])
    prompt_kb, known_kb = (round(each * BYTES_PER_TOKEN / 1024) for each in (idle[0], known))
    if known * BYTES_PER_TOKEN * 2 < PROMPT_BLOCK:
        yield (
            f"none of the prompt's {prompt_kb} kB should be in its cache: it is new there, too"
            f" long ago, or differs in the first {PROMPT_BLOCK // 1024} kB"
        )
    else:
        yield (
            f"the first {known_kb} of the prompt's {prompt_kb} kB should be in its cache"
            + ("; what follows is new there, or differs" if known_kb < prompt_kb else "")
        )


def _filled(part: float) -> float:
    brim = 0.9
    return round(1000 * (part / (1 - part) if part <= brim else 9 + 10 * min(1.0, part - brim)))


def _choice(scores: list[tuple[str, str]], unit: str = "") -> str:
    chosen = _lowest(scores)
    shown = ", ".join(f"{name} {_score(value)}{unit}" for name, value in scores)
    return f"{chosen} of: {shown} (lowest score wins)"


def _lowest(scores: Sequence[tuple[str, str]]) -> str:
    return min(scores, key=lambda each: float(each[1]))[0]


def _score(value: str) -> str:
    number = float(value)
    if number < 0:
        return "belongs there"
    if number >= Score.DOWN:
        return "down"
    if Score.BACKUP - 1 <= number < Score.OPEN:
        step = round(number / Score.BACKUP)
        return f"{_score(str(number - step * Score.BACKUP))}, priority {step}"
    if number >= Score.FULL:
        return "full"
    return f"{number:g}"
