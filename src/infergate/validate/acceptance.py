"""The models as clients ask for them, and each backend behind them as the gateway asks it.

Through the gateway a failing backend is not seen, because another one answers: so each is asked
directly, too.
"""

from __future__ import annotations

import json
import ssl
import time

import httpx

from infergate.admin.gateway import Gateway
from infergate.admin.status import status
from infergate.admin.status_document import BackendState
from infergate.config.backends import Backend
from infergate.health.model_kind import embeds
from infergate.validate.client import asking, good
from infergate.validate.result import Failed, Result, Skipped, Verdict, checking
from infergate.validate.services import check_services

SUITE = "acceptance"
_DIRECT_TIMEOUT_S = 60.0
_ANSWER_TOKENS = 8
"""Enough to see that tokens come, and cheap."""


def check_acceptance(gateway: Gateway, key: str | None) -> list[Result]:
    """A result for each model in each way it is asked, each backend, each service."""
    found: list[Result] = []
    config = gateway.loaded.config
    backends = status(gateway).backends
    with asking(config, key) as client:
        models = _models(client, found)
        for model in models:
            if embeds(model, _kinds(model, backends)):
                with checking(SUITE, f"model.{model}.embedding", found) as verdict:
                    _embedding(client, model, verdict)
                continue
            with checking(SUITE, f"model.{model}.chat", found) as verdict:
                _chat(client, model, verdict)
            with checking(SUITE, f"model.{model}.stream", found) as verdict:
                _stream(client, model, verdict)
    for backend in backends:
        with checking(SUITE, f"backend.{backend.name}", found) as verdict:
            _directly(backend, config.backends.get(backend.name), verdict)
    check_services(gateway, key, found)
    return found


def _models(client: httpx.Client, found: list[Result]) -> list[str]:
    """Those that a client is told of."""
    models: list[str] = []
    with checking(SUITE, "models", found) as verdict:
        document = good(client, "GET", "/v1/models").json()
        models = [str(each["id"]) for each in document["data"]]
        if not models:
            raise Failed("the gateway lists none: no backend is up, or none has a model")
        verdict.said = ", ".join(models[:10])
    return models


def _kinds(model: str, backends: list[BackendState]) -> frozenset[str | None]:
    return frozenset(each.kind for each in backends if model in each.models)


def _chat(client: httpx.Client, model: str, verdict: Verdict) -> None:
    message = {"role": "user", "content": "Say hello."}
    body = {"model": model, "messages": [message], "max_tokens": _ANSWER_TOKENS}
    document = good(client, "POST", "/v1/chat/completions", json=body).json()
    try:
        said = document["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):
        raise Failed(f"the answer has no message: {json.dumps(document)[:200]}") from None
    verdict.said = repr(str(said.get("content") or said.get("reasoning_content") or "")[:60])


def _stream(client: httpx.Client, model: str, verdict: Verdict) -> None:
    message = {"role": "user", "content": "Say hello."}
    body = {"model": model, "messages": [message], "max_tokens": _ANSWER_TOKENS, "stream": True}
    began, first, pieces, done = time.monotonic(), None, 0, False
    try:
        with client.stream("POST", "/v1/chat/completions", json=body) as got:
            if not got.is_success:
                raise Failed(f"{got.status_code} {got.read()[:200].decode(errors='replace')!r}")
            for line in got.iter_lines():
                done = done or line == "data: [DONE]"
                if line.startswith("data: {"):
                    first = first or time.monotonic() - began
                    pieces += 1
    except httpx.HTTPError as problem:
        raise Failed(f"the stream broke off: {problem or type(problem).__name__}") from None
    if first is None or not done:
        raise Failed(f"a stream of {pieces} pieces did not come to its [DONE]")
    verdict.said = f"{pieces} pieces, the first after {first * 1000:.0f} ms"


def _embedding(client: httpx.Client, model: str, verdict: Verdict) -> None:
    body = {"model": model, "input": "hello", "encoding_format": "float"}
    document = good(client, "POST", "/v1/embeddings", json=body).json()
    try:
        verdict.said = f"{len(document['data'][0]['embedding'])} numbers"
    except (KeyError, IndexError, TypeError):
        raise Failed(f"the answer has no embedding: {json.dumps(document)[:200]}") from None


def _directly(seen: BackendState, known: Backend | None, verdict: Verdict) -> None:
    """The question that the gateway would hand on, at the backend itself."""
    if seen.drained:
        raise Skipped("an operator drained it")
    if not seen.models:
        raise Failed(f"has no models: {seen.models_problem or seen.reason}")
    if known is None:
        raise Skipped("it is one of a group; its models are asked through the gateway")
    context = ssl.create_default_context()
    if not known.verify_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with httpx.Client(
        base_url=known.root_url,
        headers=known.sent_headers,
        timeout=_DIRECT_TIMEOUT_S,
        verify=context,
        trust_env=False,
    ) as client:
        model = seen.models[0]
        if embeds(model, frozenset((seen.kind,))):
            _embedding(client, model, verdict)
        else:
            _chat(client, model, verdict)
    verdict.said = f"{seen.url}, {model}: {verdict.said}"
