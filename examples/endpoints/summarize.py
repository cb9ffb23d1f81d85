"""POST /v1/summarize: a text in fewer words, as it is written."""

from collections.abc import AsyncIterator

from pydantic import BaseModel, Field

from infergate.api.endpoints import Call, endpoint


class Text(BaseModel):
    model: str
    text: str = Field(min_length=1)
    words: int = Field(100, ge=1, le=2000)


@endpoint("POST", "/v1/summarize", timeout=300)
async def summarize(asked: Text, call: Call) -> AsyncIterator[dict[str, str]]:
    """Server-sent events, each with a piece of the summary."""
    stream = await call.openai.chat.completions.create(
        model=asked.model,
        stream=True,
        messages=[
            {"role": "system", "content": f"Summarize in at most {asked.words} words."},
            {"role": "user", "content": asked.text},
        ],
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield {"text": chunk.choices[0].delta.content}
