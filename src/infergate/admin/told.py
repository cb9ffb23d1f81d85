"""One request in words, from its line in the access log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infergate.admin.differs import differs
from infergate.contract.live import Score
from infergate.contract.numbers import BYTES_PER_TOKEN, PROMPT_BLOCK
from infergate.ledger import weighed
from infergate.nginx.access_line import FIRST_CHUNK

_DUE = "first byte "
"""How the time of the first byte begins, with the rule that set it (njs/first_byte.js)."""
_CACHE = {
    "HIT": "a kept answer was given again",
    "MISS": "no answer was kept; this one is, if it is good",
    "EXPIRED": "the kept answer was too old for its backend's word",
    "BYPASS": "not asked: the request says no-store",
}


def told(entry: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """One request in words, from its line in the log (ledger/line.py: request_in). before: see
    differs.py."""
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
    if (differing := differs(entry, before)) is not None:
        yield row("cache", differing)
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
    choice = _Choice()
    for part in (each for each in why.split(";") if each):
        tokens = weighed.prompt_tokens(part)
        match = weighed.SCORE.fullmatch(part) if tokens is None else None
        if match:
            choice.add(match[1], match[2], weighed.terms(match[3]))
            continue
        is_out = part.endswith((" full", " open", " drained"))
        if not is_out:
            yield from choice.told()
            choice = _Choice()
        if tokens is not None:
            choice = _Choice(tokens, " ms")
            yield "work" + (f", for a prompt of about {tokens} tokens" if tokens else "")
        else:
            yield part.replace(" open", ": its breaker is open") if is_out else part
    yield from choice.told()


class _Choice:
    """The backends of one choice. unit: of the scores. tokens: of the prompt, by work."""

    def __init__(self, tokens: int = 0, unit: str = "") -> None:
        self._tokens, self._unit = tokens, unit
        self._scores: list[tuple[str, str]] = []
        self._lines: list[str] = []
        self._terms: dict[str, weighed.WorkTerms] = {}
        self._idle = ""  # what it costs at one that does nothing, which is told once

    def add(self, name: str, score: str, its: weighed.WorkTerms | None) -> None:
        self._scores.append((name, score))
        if its is not None:
            self._terms[name] = its
            self._lines.append(_sum(name, its, self._tokens, score))
            self._idle = score if its.pending == 0 else self._idle
        elif score == self._idle:
            self._lines.append(f"{name}: the same, for it does nothing either")

    def told(self) -> Iterator[str]:
        if not self._scores:
            return
        name = _lowest(self._scores)
        shown = ", ".join(f"{each} {_score(value)}{self._unit}" for each, value in self._scores)
        yield f"{name} of: {shown} (lowest score wins)"
        yield from self._lines
        if name in self._terms and self._tokens * BYTES_PER_TOKEN >= PROMPT_BLOCK:
            yield _known(self._tokens, self._terms[name].uncached)


def _sum(name: str, its: weighed.WorkTerms, tokens: int, score: str) -> str:
    """The terms of njs/work.js, so that its sum can be done again with a pencil."""
    for_weight = "" if its.share == 1 else f" / {its.share:g} for its weight"
    full = its.in_flight + tokens
    parts = [
        f"({its.pending:.0f} tokens pending + 3 x {its.uncached:.0f} not in its cache)"
        f" / {its.speed:g} a ms",
        f"50 x {its.busy:g} in flight{for_weight}",
        f"50 x {its.others:g} of others{for_weight}" if its.others else "",
        f"{_filled(full / its.capacity):g} for a KV cache with {full:.0f} of {its.capacity:.0f}"
        " tokens",
        f"{its.load:g} to load the model or wait for a slot" if its.load else "",
    ]
    return f"{name}: {' + '.join(filter(None, parts))} = {_score(score)}"


def _known(tokens: float, uncached: float) -> str:
    """What the chosen one should have in its cache: blocks are all that is known of it
    (njs/blocks.js)."""
    known = max(0.0, tokens - uncached)
    prompt_kb, known_kb = (round(each * BYTES_PER_TOKEN / 1024) for each in (tokens, known))
    if known * BYTES_PER_TOKEN * 2 < PROMPT_BLOCK:
        return (
            f"none of the prompt's {prompt_kb} kB should be in its cache: it is new there, too"
            f" long ago, or differs in the first {PROMPT_BLOCK // 1024} kB"
        )
    return f"the first {known_kb} of the prompt's {prompt_kb} kB should be in its cache" + (
        "; what follows is new there, or differs" if known_kb < prompt_kb else ""
    )


def _filled(part: float) -> float:
    brim = 0.9
    return round(1000 * (part / (1 - part) if part <= brim else 9 + 10 * min(1.0, part - brim)))


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
