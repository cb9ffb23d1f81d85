"""OpenAI's responses that are kept here (docs/responses.md)."""
