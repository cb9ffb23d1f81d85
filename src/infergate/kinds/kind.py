"""What is to be known of one kind of inference server, and the names of its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infergate.kinds.work import Reader

KindName = str
"""One of `infergate.kinds.KINDS`, as `engine:` of a backend has it."""

COMPLETIONS_GO_ON: Mapping[str, Mapping[str, Any]] = {"/v1/completions": {}}
"""What a completion is: a prompt that is gone on with."""
CHATS_GO_ON_IF_TOLD: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": {"add_generation_prompt": False, "continue_final_message": True}
}
"""In the words of Hugging Face's templates; the second is refused without the first."""
CHATS_GO_ON: Mapping[str, Mapping[str, Any]] = {"/v1/chat/completions": {}}
"""Of servers that leave a last message of the assistant's open, without being told."""

Listing = Literal["openai", "ollama", "tei"]
"""The shape of a server's answer about its models; `health/inventory.py` reads them."""

COMMON_CONTEXT = ("max_model_len", "meta.n_ctx", "meta.n_ctx_train")
"""Where a model's context length stands: vLLM's and SGLang's field, llama.cpp's, its older one's.
Read of every kind, because another gateway may stand in front."""


@dataclass(frozen=True)
class Reply:
    """What a server said to a GET. status: 0 where it said nothing. body: at most some MB."""

    status: int = 0
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Of an answer with status 200, if it is JSON; else None."""
        try:
            return json.loads(self.body) if self.status == 200 else None
        except (ValueError, RecursionError):
            return None

    def has(self, *fields: str) -> bool:
        """Whether it is an object with all these fields. The shape decides and not the status: LM
        Studio answers 200 to any path, with an error."""
        body = self.json
        return isinstance(body, dict) and all(name in body for name in fields)


Replies = Mapping[str, Reply]
"""By path, of `/v1/models` and of all that the kinds ask for."""


@dataclass(frozen=True)
class Kind:
    """One kind of inference server: how it is recognised and asked, and what it has.

    Every question is a GET that it answers from what it has in memory: none runs a completion, and
    none loads or wakes a model.

    name: in `engine:`. title: as people write it. letter: in a backend's flags (njs/route.js).
    port: its own, also in its container. image: a part of its container's name.
    port_option: of its command line; None where it has none. also: what other tools call it.

    owned_by: what it writes there of the models it lists, which tells it at once.
    asks, sign: the paths to ask and how to see from the answers that it is this kind.
    imitates: it answers as other kinds do, so that its sign is looked for before theirs.

    liveness_path: the GET that says it can take requests.
    any_answer: every status below 500, and 501, counts as alive; otherwise only 200 does.
    models_path, listing: where its models are listed, and in which shape.
    unlisted: what to do where that path is not found.
    loaded_path: where it says which of them are in memory; None if there is no such place.
    loaded_names: reads that, for listings of OpenAI's shape.
    loaded: whether an entry of the listing says so of itself; None: it does not.
    keeps_loaded: every listed model is in memory for as long as it runs.
    context: fields of an entry with the context length, `a.b` for b in a; the first counts.
    version_path: a JSON object with its version; None if there is no such place.

    work: the paths where it says what it works on, each with its reader; the first that is there
        counts.
    work_wakes: asking that wakes or keeps awake a server that sleeps when it is idle, so it is
        asked only while requests of ours are there.

    has: paths that not every server has (config/endpoints.py), WebSockets among them.
    lacks: paths that most servers have and these are known not to (contract/dialects.py). One that
        lacks /v1/rerank has /rerank.
    keeps_answers: answers of /v1/responses can be asked for by their ids.
    counts_usage: it understands `stream_options.include_usage`. Others may refuse what they do not
        know; they get it only from clients that ask for it themselves.
    any_name: it takes requests for any model, whatever it lists.
    continues: where it goes on with a text that a request ends with → what it has to be told for
        that: with the prompt of /v1/completions, with a last message of the assistant's in a chat.
    """

    name: KindName
    title: str
    letter: str
    liveness_path: str
    port: int | None = None
    image: str = ""
    port_option: str | None = "--port"
    also: tuple[str, ...] = ()
    owned_by: str | None = None
    asks: tuple[str, ...] = ()
    sign: Callable[[Replies], bool] = lambda _: False
    imitates: bool = False
    any_answer: bool = False
    models_path: str = "/v1/models"
    listing: Listing = "openai"
    unlisted: str = ""
    loaded_path: str | None = None
    loaded_names: Callable[[Any], Collection[str] | None] = lambda _: None
    loaded: Callable[[Mapping[str, Any]], bool | None] = lambda _: None
    keeps_loaded: bool = True
    context: tuple[str, ...] = COMMON_CONTEXT
    version_path: str | None = None
    work: Mapping[str, Reader] = field(default_factory=dict)
    work_wakes: bool = False
    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    keeps_answers: bool = False
    counts_usage: bool = False
    any_name: bool = False
    continues: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: COMPLETIONS_GO_ON)


COUNT_TOKENS = frozenset(("/v1/messages/count_tokens",))
ANTHROPICS = COUNT_TOKENS | {"/v1/messages"}
CHAT_ALONE = ANTHROPICS | {"/v1/responses"}
"""What servers lack that have no more than chat completions, completions and embeddings."""
NO_TEXT = CHAT_ALONE | {"/v1/chat/completions", "/v1/completions", "/v1/rerank"}
"""What servers of embeddings and rerankers lack."""


def paths(*lines: str) -> frozenset[str]:
    """The words of these lines."""
    return frozenset(" ".join(lines).split())
