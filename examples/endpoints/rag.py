"""POST /v1/rag/query: an answer from your own documents, with where it stands.

The service `qdrant` of the configuration has them: points with a payload `text`, embedded with the
same model."""

import httpx
from fastapi import HTTPException
from pydantic import BaseModel, Field

from infergate.api.endpoints import Call, endpoint


class Question(BaseModel):
    question: str = Field(min_length=1)
    collection: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    model: str
    embedding_model: str
    documents: int = Field(4, ge=1, le=50)


class Citation(BaseModel):
    number: int
    id: str
    score: float
    text: str


class Answer(BaseModel):
    answer: str
    citations: list[Citation]


@endpoint("POST", "/v1/rag/query", timeout=300)
async def query(asked: Question, call: Call) -> Answer:
    """Embed, search, answer."""
    embedded = await call.openai.embeddings.create(
        model=asked.embedding_model, input=asked.question, encoding_format="float"
    )
    search = {
        "query": embedded.data[0].embedding,
        "limit": asked.documents,
        "with_payload": True,
    }
    address = f"{call.services['qdrant']}/collections/{asked.collection}/points/query"
    async with httpx.AsyncClient(timeout=30) as qdrant:
        found = await qdrant.post(address, json=search)
    if found.status_code != 200:
        raise HTTPException(502, f"Qdrant answered {found.status_code}.")
    points = found.json()["result"]["points"]
    citations = [
        Citation(number=n, id=str(each["id"]), score=each["score"], text=each["payload"]["text"])
        for n, each in enumerate(points, start=1)
    ]
    known = "\n\n".join(f"[{each.number}] {each.text}" for each in citations)
    answer = await call.openai.chat.completions.create(
        model=asked.model,
        messages=[
            {"role": "system", "content": f"Answer from these, and cite [n]:\n\n{known}"},
            {"role": "user", "content": asked.question},
        ],
    )
    return Answer(answer=answer.choices[0].message.content or "", citations=citations)
