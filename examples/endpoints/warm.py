"""POST /v1/models/NAME/warm: have a model loaded before somebody waits for it."""

from pydantic import BaseModel

from infergate.api.endpoints import Call, endpoint


class Warm(BaseModel):
    id: str
    warm: bool


@endpoint("POST", "/v1/models/{id:path}/warm", timeout=600, at_once=4)
async def warm(id: str, call: Call) -> Warm:
    """One token is asked for, which an engine that has the model on disk only loads it for."""
    await call.openai.chat.completions.create(
        model=id, max_tokens=1, messages=[{"role": "user", "content": "hi"}]
    )
    return Warm(id=id, warm=True)
