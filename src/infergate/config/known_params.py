"""The well-known parameters of requests: what each must be. One table for requests (njs/check.js)
and for `params` of a model.

The types are OpenAI's (https://platform.openai.com/docs/api-reference), read as pydantic does where
it is lenient, because vLLM and all of FastAPI does so: "0.7" is a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST_STOPS = 64
NUMBER, WHOLE, TRUTH = "a number", "a whole number", "true or false"
LIST, OBJECT = "a list", "an object"
STOP = f"a string or a list of at most {MOST_STOPS}"
COUNT = "true, false or a whole number"

TYPES: Mapping[str, str] = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "n", "best_of", "seed"), WHOLE),
    **dict.fromkeys(("top_logprobs", "prompt_logprobs"), WHOLE),
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), NUMBER),
    **{"stream": TRUTH, "tools": LIST, "logit_bias": OBJECT, "stream_options": OBJECT},
    **{"stop": STOP, "logprobs": COUNT},
}

MOST_ANSWERS, MOST_LOGPROBS = 128, 100
"""OpenAI's for answers; of logprobs five times what OpenAI and vLLM give unless told otherwise."""

BOUNDS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("n", "best_of"), (1, MOST_ANSWERS)),
    **dict.fromkeys(("logprobs", "top_logprobs", "prompt_logprobs"), (0, MOST_LOGPROBS)),
}
"""Of what takes an engine's memory."""

RANGES: Mapping[str, tuple[float, float]] = {
    **{"temperature": (0, 2), "top_p": (0, 1)},
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), (1, 10**9)),
    **dict.fromkeys(("presence_penalty", "frequency_penalty"), (-2, 2)),
}
"""Which validation: strict looks at, too."""

_NUMERIC = re.compile(r"\s*[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*", re.I | re.A)
_DIGITS = re.compile(r"\s*[+-]?\d+(?:_\d+)*(?:\.0*)?\s*", re.A)


def problem(name: str, value: Any) -> str | None:
    """What is wrong with a value that the operator gives a parameter; None if nothing is known to
    be. Its range holds, too: no request is right with another one."""
    kind = TYPES.get(name)
    if kind is None:
        return None
    if not _is(kind, value):
        return f"{name} must be {kind}, not {value!r}"
    least, most = {**BOUNDS, **RANGES}.get(name, (None, None))
    if least is None or most is None or isinstance(value, bool) or least <= float(value) <= most:
        return None
    return f"{name} must be from {least:,} to {most:,}"


def _is(kind: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == NUMBER:
        return number or (isinstance(value, str) and _NUMERIC.fullmatch(value) is not None)
    if kind == WHOLE:
        if isinstance(value, str):
            return _DIGITS.fullmatch(value) is not None
        return number and value == int(value)
    if kind == COUNT:
        return isinstance(value, bool) or _is(WHOLE, value)
    if kind == STOP:
        return isinstance(value, str) or (isinstance(value, list) and len(value) <= MOST_STOPS)
    return isinstance(value, {TRUTH: bool, LIST: list, OBJECT: dict}[kind])
