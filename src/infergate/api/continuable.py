"""Which requests another backend can go on with after a part of their text, and how it is asked."""

from __future__ import annotations

from infergate.api.dialects import chat
from infergate.api.dialects.translation import Body
from infergate.kinds import KINDS

LIMITS = ("max_tokens", "max_completion_tokens", "n_predict", "num_predict")
"""How long an answer may be; engines differ in which they read."""
_LEAST = ("min_tokens",)

_OURS = frozenset(
    name for kind in KINDS.values() for said in kind.continues.values() for name in said
)
"""What nginx writes into a request that ends with a text (njs/continued.js)."""

_BOUND = (
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),
    *("grammar", "json_schema", "regex", "ebnf", "structural_tag"),
)
"""With one of these a text follows rules from its beginning on, and a continuation has another."""

_OTHERWISE = ("echo", "suffix", "use_beam_search", "return_token_ids", "prompt_logprobs")
"""What tells more than the text, or asks for another one."""


def is_continuable(path: str, asked: Body) -> bool:
    """Whether the answer is one text that goes on where it ended."""
    if any(asked.get(name) not in (None, False, "") for name in (*_BOUND, *_OTHERWISE)):
        return False
    if any(asked.get(name) not in (None, 1) for name in ("n", "best_of")):
        return False
    wanted = asked.get("response_format")
    if wanted is not None and not (isinstance(wanted, dict) and wanted.get("type") == "text"):
        return False
    if path != chat.PATH:
        return isinstance(asked.get("prompt"), str) and asked.get("logprobs") is None
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        return False
    last = messages[-1]
    return isinstance(last, dict) and last.get("role") != "assistant"


def spending_less(asked: Body, spent: int, *, least: int = 1) -> Body:
    """The request, for so many tokens less. least: of an answer."""
    body = dict(asked)
    for names, lowest in ((LIMITS, least), (_LEAST, 0)):
        for name in names:
            value = body.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                body[name] = max(lowest, value - spent)
    return body


def ending_with(path: str, asked: Body, text: str) -> Body:
    """A request that is_continuable, so that its answer goes on with this text."""
    body = {name: value for name, value in asked.items() if name not in _OURS}
    if path == chat.PATH:
        body["messages"] = [*asked["messages"], {"role": "assistant", "content": text}]
    else:
        body["prompt"] = asked["prompt"] + text
    return body
