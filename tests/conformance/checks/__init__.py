"""The checks, one file per subject. The order of the imports is the order of the report."""

# ruff: noqa: F401, I001
from tests.conformance.checks import (
    headers,
    framing,
    usage,
    errors,
    truncation,
    timeouts,
    cancel,
    retries,
    bodies,
    load,
)
