"""OpenAI's official client, which asks for responses."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import openai
import pydantic
import pytest
from openai.types.chat import completion_create_params

from tests import dialects

OPENAIS = jsonschema_rs.validator_for(
    pydantic.TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming).json_schema()
)
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Of a town.",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    "strict": True,
}
ULM = '{"town": "Ulm"}'


def client(backend: dialects.Backend) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k",
        base_url="http://gateway/v1",
        http_client=backend.client(),
        max_retries=0,
        _strict_response_validation=True,
    )


def asked(given: Any = "hello", **more: Any) -> dict[str, Any]:
    backend = dialects.Backend(dialects.answer(content="hi"))
    client(backend).responses.create(model="m", input=given, **more)
    assert backend.target == "/v1/chat/completions"
    OPENAIS.validate({**backend.asked, "stream": False})
    return backend.asked


def refusal(given: Any = "hello", **more: Any) -> str:
    with pytest.raises(openai.BadRequestError) as refused:
        asked(given, **more)
    assert refused.value.type == "invalid_request_error"
    return refused.value.message
