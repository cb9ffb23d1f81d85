"""OpenAI's /v1/batches: files of requests, asked at the lowest priority (docs/batches.md)."""
