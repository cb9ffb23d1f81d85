"""A conversation of Chroma's own client with a server, as JSON; run by the python of the cache.

chroma_client.py PORT PATH KEY
"""

from __future__ import annotations

import json
import sys

import chromadb
from chromadb.config import Settings


def main() -> None:
    port, path, key = sys.argv[1:]
    client = chromadb.HttpClient(
        host=f"http://127.0.0.1:{port}{path}",
        headers={"Authorization": f"Bearer {key}"},
        settings=Settings(anonymized_telemetry=False),
    )
    texts = client.get_or_create_collection("texts", embedding_function=None)
    texts.add(
        ids=["cat", "kitten", "bond"],
        embeddings=[[1.0, 0.1, 0.0], [0.9, 0.2, 0.0], [0.0, 0.1, 1.0]],
        documents=["a cat", "a kitten", "the bond market"],
    )
    found = texts.query(query_embeddings=[[1.0, 0.0, 0.0]], n_results=2)
    print(json.dumps({"count": texts.count(), "ids": found["ids"][0]}))


if __name__ == "__main__":
    main()
