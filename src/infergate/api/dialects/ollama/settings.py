"""What Ollama's chat and generate have in common: `options`, `format`, `think` → OpenAI's."""

from __future__ import annotations

from typing import Any

from infergate.api.dialects import given
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused

_NUMBERS = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "min_p": ("min_p",),
    "typical_p": ("typical_p",),
    "seed": ("seed",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    # vLLM's and SGLang's name, and llama.cpp's.
    "repeat_penalty": ("repetition_penalty", "repeat_penalty"),
}
LOST = "`num_ctx`, `num_keep`, `repeat_last_n`, `mirostat…`, `tfs_z`, and how to load a model"
"""Of `options`: a server of OpenAI's API decides it when it starts, or has no such thing."""


def settings(body: Body) -> Body:
    """Of the request to OpenAI's API. `keep_alive` is the server's own matter there."""
    asked: Body = {"model": given.text(body.get("model"), "model"), "stream": is_streamed(body)}
    if asked["stream"]:
        asked["stream_options"] = {"include_usage": True}
    options = given.optional_mapping(body.get("options"), "options")
    for name, theirs in _NUMBERS.items():
        if options.get(name) is not None:
            number = given.number(options[name], f"options.{name}")
            asked |= dict.fromkeys(theirs, number)
    longest = options.get("num_predict")
    # -1 is as long as it likes, -2 until the context is full.
    if longest is not None and given.number(longest, "options.num_predict") > 0:
        asked["max_tokens"] = given.whole_number(longest, "options.num_predict", 1)
    stop = options.get("stop")
    if stop:
        stops = [stop] if isinstance(stop, str) else given.sequence(stop, "options.stop")
        asked["stop"] = [given.text(each, "options.stop") for each in stops]
    _shape(asked, body.get("format"))
    _effort(asked, body.get("think"))
    return asked


def is_streamed(body: Body) -> bool:
    """Unless it says otherwise."""
    return body.get("stream") is None or given.flag(body["stream"], "stream")


def _shape(asked: Body, shape: Any) -> None:
    if shape is None or shape == "":
        return
    if shape == "json":
        asked["response_format"] = {"type": "json_object"}
    elif isinstance(shape, dict):
        named = {"name": "format", "schema": shape, "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": named}
    else:
        raise Refused("'format' must be \"json\" or a JSON schema.", param="format")


def _effort(asked: Body, think: Any) -> None:
    match think:
        case None | True:
            return  # models that can think do so unless they are told not to
        case False:
            asked["reasoning_effort"] = "none"
        case "low" | "medium" | "high":
            asked["reasoning_effort"] = think
        case "max":
            asked["reasoning_effort"] = "high"
        case _:
            raise Refused(
                '\'think\' must be true, false, "low", "medium" or "high".', param="think"
            )


def image(value: Any, where: str) -> Body:
    """A part of a message, from base64 without its type, which its first bytes tell."""
    data = given.text(value, where)
    types = {"/9j/": "jpeg", "R0lG": "gif", "UklG": "webp"}
    media = types.get(data[:4], "png")
    return {"type": "image_url", "image_url": {"url": f"data:image/{media};base64,{data}"}}
