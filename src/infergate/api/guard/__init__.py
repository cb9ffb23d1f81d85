"""Guardrails: requests and answers are looked through, and changed, refused or let pass."""
