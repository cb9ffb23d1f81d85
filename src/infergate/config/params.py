"""Parameters of requests that the operator decides: set, defaulted or stripped."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from infergate.config.base import Section
from infergate.config.known_params import problem

OF_THE_GATEWAY = frozenset(
    {
        *("model", "stream", "stream_options", "priority"),
        *("messages", "prompt", "input", "system"),
    }
)
"""What routing, counting and the queue go by, and what a client wants to say at all."""

_MOST_BYTES = 2000
"""Of one value as JSON: it is in every route of its model, which each request reads."""

_DEEPEST = 8
"""njs's JSON.parse takes 32 levels, the client's own among them."""


def _param(name: str) -> str:
    if not name or len(name) > 64 or not (name.isascii() and name.isidentifier()):
        raise ValueError(f"{name!r} is not the name of a parameter: letters, digits and '_'")
    if name != name.lower():
        raise ValueError(f"{name!r}: names of parameters are in lower case")
    if name in OF_THE_GATEWAY:
        raise ValueError(f"{name!r} is the client's to say, and the gateway goes by it")
    return name


def _value(value: Any) -> Any:
    if value is None:
        raise ValueError("is empty; to take a parameter out, name it under strip")
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("is nothing that JSON has: a number, a text, true, a list, …") from None
    if len(text) > _MOST_BYTES:
        raise ValueError(f"is longer than {_MOST_BYTES:,} bytes of JSON")
    if _depth(value) > _DEEPEST:
        raise ValueError(f"is nested deeper than {_DEEPEST} levels")
    return value


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0


def _right(values: dict[str, Any]) -> dict[str, Any]:
    wrong = [said for name, value in values.items() if (said := problem(name, value))]
    if wrong:
        raise ValueError("; ".join(wrong))
    return values


ParamName = Annotated[
    str,
    AfterValidator(_param),
    WithJsonSchema({"type": "string", "pattern": "^[a-z_][a-z0-9_]{0,63}$"}),
]
ParamValue = Annotated[
    Any,
    BeforeValidator(_value),
    WithJsonSchema({"type": ["number", "string", "boolean", "array", "object"]}),
]
ParamValues = Annotated[dict[ParamName, ParamValue], AfterValidator(_right)]


class Params(Section):
    """Parameters of JSON requests, by OpenAI's names; Ollama's own API gets them in `options`."""

    set: ParamValues = Field(
        {}, max_length=50, description="These, whatever the client says: temperature: 0.2."
    )
    default: ParamValues = Field(
        {}, max_length=50, description="These, where the client says nothing: max_tokens: 1024."
    )
    strip: list[ParamName] = Field(
        [], max_length=50, description="These never reach a backend: [seed, logit_bias]."
    )

    @model_validator(mode="after")
    def _what_is_in_options(self) -> Params:
        if "options" in self.set or "options" in self.default:
            raise ValueError(
                "name what is in 'options' by itself, as num_ctx: 8192; Ollama gets it there"
            )
        return self

    @model_validator(mode="after")
    def _once_each(self) -> Params:
        names = [*self.set, *self.default, *self.strip]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is named twice under set, default and strip")
        return self
