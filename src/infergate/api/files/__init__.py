"""OpenAI's /v1/files: what clients give for batches, and what these write."""
