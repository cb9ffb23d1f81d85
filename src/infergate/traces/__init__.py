"""Spans of requests, made of the access log, and where they go."""
