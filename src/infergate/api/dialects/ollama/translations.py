"""The translations of Ollama's endpoints at which a model works."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from infergate.api.dialects import chat, given
from infergate.api.dialects.ollama import conversation
from infergate.api.dialects.ollama.answer import LineEvents, Shape
from infergate.api.dialects.ollama.models import Loaded
from infergate.api.dialects.ollama.settings import settings
from infergate.api.dialects.translation import LINES, Body, Events, Translation
from infergate.api.refusal import Refused

COMPLETIONS = "/v1/completions"
_KNOWN_IMAGES = ("width", "height", "steps")


class _Said:
    """What both have in common."""

    method: Literal["GET", "POST"] = "POST"
    media_type = LINES

    def __init__(self, target: str, body: Body, shape: Shape) -> None:
        self.target, self.body, self._shape = target, body, shape
        self.streamed: bool = body["stream"]
        self._since = time.monotonic_ns()

    def answer(self, answer: Body) -> Body:
        return self._shape.whole(answer, self._since)

    def events(self) -> Events:
        return LineEvents(self._shape, self._since)


def chat_translation(_: Mapping[str, str], body: Body) -> Translation:
    """/api/chat. Raises Refused. Without messages it asks to load the model, or to unload it."""
    asked = settings(body)
    if not body.get("messages"):
        given.optional_sequence(body.get("messages"), "messages")
        return Loaded(asked["model"], body, is_chat=True)
    asked["messages"] = conversation.messages(body["messages"])
    tools = conversation.tools(body.get("tools"))
    if tools:
        asked["tools"] = tools
    return _Said(chat.PATH, asked, _shape(asked, body, is_chat=True))


def generate_translation(_: Mapping[str, str], body: Body) -> Translation:
    """/api/generate. Raises Refused. A prompt that is raw or has a suffix is completed, any other
    one is a user's message, for which the server has the model's template."""
    for name, why in (
        ("template", "the model's server has its own"),
        ("context", "give the conversation to /api/chat as messages"),
    ):
        if body.get(name):
            raise Refused(f"'{name}' cannot be had from this model's server: {why}.", param=name)
    for name in _KNOWN_IMAGES:
        if body.get(name):
            raise Refused(f"'{name}': images are made at /v1/images/generations.", param=name)
    asked = settings(body)
    prompt = given.optional_text(body.get("prompt"), "prompt")
    suffix = given.optional_text(body.get("suffix"), "suffix")
    system = given.optional_text(body.get("system"), "system")
    raw = given.flag(body.get("raw"), "raw")
    if not prompt and not suffix and not body.get("images"):
        return Loaded(asked["model"], body, is_chat=False)
    if raw or suffix:
        for name in ("images", "system") if suffix else ("images",):
            if body.get(name):
                raise Refused(f"'{name}' does not go with a raw prompt or a suffix.", param=name)
        asked |= {"prompt": prompt, **({"suffix": suffix} if suffix else {})}
        return _Said(COMPLETIONS, asked, _shape(asked, body, is_chat=False))
    said: Any = conversation.said(prompt, body.get("images"), "images")
    first = [{"role": "system", "content": system}] if system else []
    asked["messages"] = [*first, {"role": "user", "content": said}]
    return _Said(chat.PATH, asked, _shape(asked, body, is_chat=False))


def _shape(asked: Body, body: Body, *, is_chat: bool) -> Shape:
    return Shape(asked["model"], is_chat=is_chat, thinking=body.get("think") is not False)
