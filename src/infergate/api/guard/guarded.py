"""A request with guardrails: it is looked through, asked for, and its answer looked through."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import Scope, Send

from infergate.api import answering
from infergate.api.caller import Caller, passed_back, passed_on
from infergate.api.connection import Answer, Unanswered
from infergate.api.dialects.chat import BROKEN, error_of
from infergate.api.guard import texts
from infergate.api.guard.answer import CHOSEN, FILTERED, emptied, passed_answer
from infergate.api.guard.judge import judge
from infergate.api.guard.rules import Blocked, Rule, RulesByName
from infergate.api.guard.stream import Stream
from infergate.api.inner import Inner, TooLarge, whole
from infergate.api.reading import read
from infergate.api.refusal import Refused
from infergate.api.sse import EventTooLong, Reader
from infergate.api.translate import object_in
from infergate.contract.tier import BLOCKED_HEADER, BLOCKED_MARK

_LARGEST_ANSWER = 256 * 1024**2
_SMALL = 16 * 1024
"""Bytes of a body that is looked through at once; more takes a thread, while others go on."""

_OF_THE_BODY = frozenset((b"content-type", b"content-length", b"content-encoding"))
_UNASKED = (
    *("logprobs", "top_logprobs", "prompt_logprobs", "return_token_ids"),
    *("return_tokens_as_token_ids", "echo"),
)
"""What would tell an answer a second time, in pieces in which nothing is found."""

_DONE = b"[DONE]"


class _Enough(Exception):
    """All was said, and the backend goes on: its connection is to be closed."""


class NotSeen(Blocked):
    """Something that is no text. where: in the request."""

    def __init__(self, guardrail: str, where: str) -> None:
        super().__init__(guardrail, "unseen", "requests")
        self.where = where


class Guards:
    """What the tier has of guardrails."""

    def __init__(self, inner: Inner, said: Mapping[str, Mapping[str, Any]]) -> None:
        """said: the file's, by name (nginx/tier.py)."""
        self._inner, self._rules = inner, RulesByName(said)

    async def answer(
        self, caller: Caller, names: Sequence[str], scope: Scope, body: bytes, send: Send
    ) -> None:
        """Answer a request that has to pass these."""
        try:
            rules = await self._asked(names)
            document = object_in(body)
            looked = run_in_threadpool if len(body) > _SMALL else _at_once
            passed = await looked(_passed, document, rules)
            for rule in rules:
                if rule.judges("requests"):
                    said = texts.all_texts({**passed, "model": None})
                    await judge(self._inner, caller, rule, said, "requests")
            on = passed_on(scope["headers"])
            sent = _written(passed)
            async with self._inner.ask(caller, "POST", scope["path"], sent, on) as answer:
                await self._back(caller, rules, scope["path"], answer, send)
        except Blocked as blocked:
            await _refused(send, _refusal(blocked), blocked.label)
        except Refused as refused:
            await _refused(send, refused, "")
        except _Enough:
            return
        except (Unanswered, TooLarge):
            await answering.answer_json(send, 502, {"error": BROKEN})

    async def _asked(self, names: Sequence[str]) -> list[Rule]:
        try:
            return await run_in_threadpool(self._rules.of, names)
        except (KeyError, ImportError):
            raise Refused(
                "What has to look through this request is not there.",
                status=503,
                code="guardrail_unavailable",
            ) from None

    async def _back(
        self, caller: Caller, rules: list[Rule], path: str, answer: Answer, send: Send
    ) -> None:
        """Raises Blocked, Refused, TooLarge or Unanswered where nothing has been sent."""
        headers = passed_back(answer.headers)
        after = [rule for rule in rules if rule.looks_at("answers") or rule.most is not None]
        judges = [rule for rule in rules if rule.judges("answers")]
        if not after and not judges:
            await _relayed(answer, headers, send)
            return
        back = [each for each in headers if each[0] not in _OF_THE_BODY]
        kind = answer.header(b"content-type")
        if answer.status == 200 and path in CHOSEN and kind.startswith("text/event-stream"):
            events = _events(path, after, answer)
            if judges:
                events = self._judged(caller, judges, path, events)
            await _sent(send, events, [(b"content-type", b"text/event-stream"), *back])
            return
        told = _answered(await whole(answer, _LARGEST_ANSWER))
        if answer.status != 200:
            passed = await run_in_threadpool(_of_error, told, after)
            await answering.answer_json(send, answer.status, passed, back)
            return
        try:
            passed = await run_in_threadpool(passed_answer, path, told, after)
            for rule in judges:
                await judge(self._inner, caller, rule, texts.all_texts(_said(passed)), "answers")
        except Blocked as blocked:
            mark = (BLOCKED_HEADER.encode(), blocked.label.encode())
            await answering.answer_json(send, 200, emptied(path, told, blocked), [*back, mark])
            return
        await answering.answer_json(send, 200, passed, back)

    async def _judged(
        self, caller: Caller, judges: list[Rule], path: str, events: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """The whole stream, once all of it was judged."""
        held, size = [], 0
        with suppress(_Enough):
            async for each in events:
                held.append(each)
                size += len(each)
                if size > _LARGEST_ANSWER:
                    raise TooLarge
        chunks = [json.loads(each[6:]) for each in held if each.startswith(b"data: {")]
        try:
            for rule in judges:
                said = "".join(text for chunk in chunks for text in texts.all_texts(_said(chunk)))
                await judge(self._inner, caller, rule, [said], "answers")
        except Blocked as blocked:
            for chunk in Stream(()).cut(FILTERED, is_text=path == "/v1/completions"):
                yield _event({**_top(chunks), **chunk})
            yield _mark(blocked) + _event(_DONE)
            return
        for each in held:
            yield each


async def _at_once(work: Any, *arguments: Any) -> Any:
    return work(*arguments)


def _passed(body: dict[str, Any], rules: Sequence[Rule]) -> dict[str, Any]:
    """The request as it may pass. Raises Blocked or Refused."""
    where = texts.unseen(body)
    for rule in rules:
        if where is not None and rule.unseen == "refuse":
            raise NotSeen(rule.name, where)
    model = body.pop("model", None)
    for rule in rules:
        body = texts.passed(body, rule, "requests", kept=texts.MEDIA)
    if any(rule.looks_at("answers") or rule.most or rule.judges("answers") for rule in rules):
        for name in _UNASKED:
            body.pop(name, None)
    return {"model": model, **body}


def _written(body: Mapping[str, Any]) -> bytes:
    """Written anew: of a key that was there twice, a backend gets what was looked through."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Refused("The request body has a number that is too large, or is too deep.") from None


def _answered(body: bytes) -> dict[str, Any]:
    """Raises Refused."""
    try:
        found = read(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("The backend's answer is no JSON object.", status=502, code="bad_answer")
    return found


def _of_error(told: dict[str, Any], rules: Sequence[Rule]) -> dict[str, Any]:
    """An error may quote what it is about."""
    try:
        for rule in rules:
            told = texts.passed(told, rule, "answers")
    except Blocked:
        return {"error": {**BROKEN, "message": "The backend failed."}}
    return told


def _said(answer: Mapping[str, Any]) -> Any:
    return [
        each.get("message", each.get("delta", each.get("text", "")))
        for each in answer.get("choices", ())
    ]


def _top(chunks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {n: v for n, v in chunks[0].items() if n not in ("choices", "usage")} if chunks else {}


async def _events(path: str, rules: Sequence[Rule], answer: Answer) -> AsyncIterator[bytes]:
    """What goes to the client, event by event."""
    reader, stream = Reader(), Stream(rules)
    is_text = path == "/v1/completions"
    try:
        while piece := await answer.part():
            for data in reader.feed(piece):
                if data == _DONE:
                    for chunk in stream.cut("stop", is_text=is_text):
                        yield _event(chunk)
                    yield _event(_DONE)
                    return
                chunk = read(data)
                if not isinstance(chunk, dict) or error_of(chunk) is not None:
                    raise ValueError
                if (passed := stream.feed(chunk)) is not None:
                    yield _event(passed)
                if stream.is_full:
                    yield _event(_DONE)
                    raise _Enough
        if not stream.is_over:
            raise ValueError
        yield _event(_DONE)
    except Blocked as blocked:
        for chunk in stream.cut(FILTERED, is_text=is_text):
            yield _event(chunk)
        yield _mark(blocked) + _event(_DONE)
        raise _Enough from None
    except (Unanswered, EventTooLong, ValueError, RecursionError):
        yield _event({"error": dict(BROKEN)})


async def _sent(
    send: Send, events: AsyncIterator[bytes], headers: Sequence[tuple[bytes, bytes]]
) -> None:
    begun = False
    try:
        async for event in events:
            if not begun:
                begun = True
                await answering.start(send, 200, headers)
            await answering.part(send, event)
    except _Enough:
        await answering.end(send)
        raise
    await answering.end(send)


async def _relayed(answer: Answer, headers: Sequence[tuple[bytes, bytes]], send: Send) -> None:
    """As it comes; cut off where it is."""
    await answering.start(send, answer.status, headers)
    try:
        while part := await answer.part():
            await answering.part(send, part)
    except Unanswered:
        return
    await answering.end(send)


def _event(data: Mapping[str, Any] | bytes) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def _mark(blocked: Blocked) -> bytes:
    """For the log: nginx takes it out (njs/handed.js)."""
    return f"{BLOCKED_MARK}{blocked.label}\n\n".encode()


def _refusal(blocked: Blocked) -> Refused:
    if isinstance(blocked, NotSeen):
        said = f"The guardrail `{blocked.guardrail}` lets text alone pass, and this is none."
        return Refused(said, param=blocked.where, code="content_not_seen")
    what = "request" if blocked.side == "requests" else "answer"
    return Refused(f"The guardrail `{blocked.guardrail}` refused this {what}.", code=FILTERED)


async def _refused(send: Send, refused: Refused, label: str) -> None:
    mark = [(BLOCKED_HEADER.encode(), label.encode())] if label else []
    await answering.answer_json(send, refused.status, refused.document, mark)
