"""What a client was told of a stream that may be continued, and what is to be asked for the rest.

Pure: events go in, and what the client is to get comes out (continued.py asks and sends)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from infergate.api.continuable import LIMITS, ending_with, is_continuable, spending_less
from infergate.api.dialects import chat
from infergate.api.dialects.translation import Body
from infergate.api.dialects.wire import compact
from infergate.api.reading import object_of
from infergate.api.sse import data_of

DONE = b"[DONE]"
_LONE = re.compile("[\ud800-\udfff]")
_MOST_HELD = 8
"""Events with half a character: none takes more than four tokens."""
_SURELY_AN_ECHO = 64
"""Characters: no first piece of an answer begins with so long a text by chance. llama.cpp's server
wrote one until it knew continue_final_message (May 2026)."""

_OF_THE_FIRST = ("id", "object", "created", "model", "system_fingerprint")
_OF_AN_ATTEMPT = ("prompt_token_ids", "prompt_logprobs")
"""Of a prompt that the client did not send."""

BROKEN_OFF = f"data: {compact({'error': chat.BROKEN})}\n\n".encode()


class Broken(Exception):
    """The stream says that it broke off. event: the bytes that say so, for a client that is to know
    it. lasting: it would break off anywhere."""

    def __init__(self, event: bytes, *, lasting: bool) -> None:
        super().__init__()
        self.event, self.lasting = event, lasting


class SoFar:
    """One client's stream of /v1/chat/completions or /v1/completions.

    path, asked: the request. most_bytes: of a body, and so of the text that can be in one.
    continued: how often another backend went on.
    """

    def __init__(self, path: str, asked: Body, most_bytes: int) -> None:
        self._path, self._asked, self._most = path, asked, most_bytes
        self._texts: list[str] = []
        self._bytes = 0
        self._spent = 0  # tokens of these texts
        self._held: list[tuple[bytes, str, int]] = []
        self._doubtful = b""
        self._first: Body = {}
        self._is_text = True  # and nothing else
        self._finished = self._done = False
        self._prefix_tokens = 0  # of this attempt's prompt
        self._attempt_tokens = 0  # of its answer, before it says so
        self._expected = ""  # white space that the client has and this attempt will say again
        self._echo = ""  # the text of its prompt, which some say again
        self.continued = 0

    def take(self, event: bytes) -> bytes:
        """What the client gets of an event, which is here to its end. Raises Broken."""
        whole = event + b"\n\n"
        data = b"\n".join(data_of(event))
        if data == b"":
            return whole if event.startswith(b":") else b""  # a comment keeps clients there
        if data == DONE:
            self._done = True
            return self._undoubted() + self._flushed() + whole
        chunk = object_of(data)
        if chunk is None:  # cut in its midst, perhaps: what comes next tells
            out, self._doubtful = self._undoubted(), whole
            return out
        if (told := chat.error_of(chunk)) is not None:
            raise Broken(whole, lasting=_is_the_requests(told))
        return self._undoubted() + self._taken(chunk, whole)

    @property
    def has_said_all(self) -> bool:
        """Whether only the end is left to tell."""
        return self._done or self._finished or self._is_spent

    def end(self) -> bytes:
        """That, after `has_said_all`; nothing where it was told."""
        if self._done:
            return b""
        last = b""
        if not self._finished:
            empty: Body = {"delta": {}} if self._path == chat.PATH else {"text": ""}
            choice = {"index": 0, **empty, "finish_reason": "length"}
            said = {**self._first, "choices": [choice], **self._mark}
            last = f"data: {compact(said)}\n\n".encode()
        return self._flushed() + last + b"data: [DONE]\n\n"

    def rest(self) -> bytes:
        """What was held back, for a client that gets no more of the text."""
        return self._flushed()

    def can_go_on(self) -> bool:
        """Whether the rest can be asked for."""
        if not self._is_text or self._bytes > self._most:
            return False
        return not self._texts or is_continuable(self._path, self._asked)

    def again(self, model: str | None) -> tuple[Body, bool]:
        """The next attempt begins: what is to be asked, and whether text is in it that is to be
        continued. model: instead of the one that was asked for."""
        self._held.clear()
        self._doubtful = b""
        self.continued += 1
        text = _whole("".join(self._texts))
        prefix = text.rstrip()  # templates cut it there, and a token begins with white space
        self._expected = text[len(prefix) :]
        self._echo = prefix if len(prefix) >= _SURELY_AN_ECHO else ""
        self._prefix_tokens = self._spent if prefix else 0
        self._attempt_tokens = 0
        body = spending_less(self._asked, self._spent)
        if model is not None:
            body["model"] = model
        if prefix:
            body = ending_with(self._path, body, prefix)
        return body, prefix != ""

    @property
    def _is_spent(self) -> bool:
        left = spending_less(self._asked, self._spent, least=0)
        return bool(self._texts) and any(left.get(name) == 0 for name in LIMITS)

    def _undoubted(self) -> bytes:
        if self._doubtful == b"":
            return b""
        out, self._doubtful = self._flushed() + self._doubtful, b""
        self._is_text = False
        return out

    def _taken(self, chunk: Body, whole: bytes) -> bytes:
        said = self._look(chunk)
        if self.continued and self._texts and said is not None and said.reasoning:
            raise Broken(BROKEN_OFF, lasting=True)  # it does not go on, but begins to think
        text = "" if said is None else said.text
        if self.continued:
            text = self._unexpected(text)
            again = self._as_before(chunk, said, text)
            whole = b"" if again is None else f"data: {compact(again)}\n\n".encode()
        if text == "":
            return self._flushed() + whole
        self._held.append((whole, text, self._tokens_in(chunk)))
        is_half = _is_half(text) and len(self._held) < _MOST_HELD and not self._finished
        return b"" if is_half else self._flushed()

    def _look(self, chunk: Body) -> chat.Said | None:
        if not self._first:
            self._first = {name: chunk[name] for name in _OF_THE_FIRST if name in chunk}
        said = chat.read_chunk(chunk)
        if said is not None:
            self._is_text = self._is_text and not (said.reasoning or said.refusal or said.calls)
            self._finished = self._finished or said.finish is not None
        choices = chunk.get("choices")
        if isinstance(choices, list) and (len(choices) > 1 or (choices and said is None)):
            self._is_text = False
        return said

    def _tokens_in(self, chunk: Body) -> int:
        """Those of this chunk: as its server counts, or else one."""
        found = chat.usage(chunk)
        told = found.completion if found is not None else 0
        new = max(1, told - self._attempt_tokens)
        self._attempt_tokens += new
        return new

    def _flushed(self) -> bytes:
        out = b""
        for event, text, tokens in self._held:
            out += event
            self._texts.append(text)
            self._bytes += len(text)
            self._spent += tokens
        self._held.clear()
        return out

    @property
    def _mark(self) -> Body:
        return {"infergate": {"continued": self.continued}} if self.continued else {}

    def _as_before(self, chunk: Body, said: chat.Said | None, text: str) -> Body | None:
        """A chunk of a later attempt as one of the first, with this text; None for one that tells
        nothing, as the first one does."""
        found = {name: value for name, value in chunk.items() if name not in _OF_AN_ATTEMPT}
        found |= self._first | self._mark
        if isinstance(chunk.get("usage"), dict):
            found["usage"] = self._summed(chunk["usage"])
        choice = chat.first_choice(found)
        if choice is None or said is None:
            return found
        delta = choice.get("delta")
        if isinstance(delta, dict):
            delta.pop("role", None)
        if said.text:
            (delta if isinstance(delta, dict) else choice).update(
                {"content" if isinstance(delta, dict) else "text": text}
            )
        return found if text or said.finish or said.refusal or said.calls else None

    def _summed(self, told: Body) -> Body:
        """The usage as one answer would have it: the text that was a part of the prompt is one of
        the completion."""
        found = chat.usage({"usage": told}) or chat.ChatUsage()
        prompt = max(0, found.prompt - self._prefix_tokens)
        summed = {**told, "prompt_tokens": prompt}
        summed["completion_tokens"] = found.prompt + found.completion - prompt
        details = told.get("prompt_tokens_details")
        if isinstance(details, dict):
            cached = min(chat.count(details.get("cached_tokens")), prompt)
            summed["prompt_tokens_details"] = {**details, "cached_tokens": cached}
        return summed

    def _unexpected(self, text: str) -> str:
        """A text without what the client has of it."""
        text, self._echo = text.removeprefix(self._echo), self._echo[: 0 if text else None]
        same = 0
        while same < min(len(text), len(self._expected)) and text[same] == self._expected[same]:
            same += 1
        self._expected = self._expected[same:] if same == len(text) else ""
        return text[same:]


def _is_half(text: str) -> bool:
    """Whether it ends within a character: engines write that so, or as one half of a surrogate."""
    return text[-1] == "\ufffd" or "\ud800" <= text[-1] <= "\udbff"


def _whole(text: str) -> str:
    """With surrogates joined that came in two chunks; those without the other half are lost."""
    return _LONE.sub("", json.loads(json.dumps(text)))  # a codec would be looked for in a file


def _is_the_requests(told: Any) -> bool:
    """Whether an error is one of the request and not of the backend."""
    if not isinstance(told, Mapping):
        return False
    code = told.get("code")
    is_4xx = isinstance(code, int) and 400 <= code < 500
    return is_4xx or told.get("type") in ("invalid_request_error", "BadRequestError")
