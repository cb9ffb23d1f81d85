"""What the ledger counts of each request, for Prometheus: the one table of these names.

Where OpenTelemetry's conventions for generative AI have a name, it is theirs, as version
CONVENTIONS has it: dots are underscores, and the unit stands behind (its rules for Prometheus).
They are not stable; a later version changes this file and docs/metrics.md, and nothing else.
"""

from __future__ import annotations

from infergate.metrics.family import Family
from infergate.metrics.steps import BOUNDS_S

CONVENTIONS = "0.1.0"
"""Of https://github.com/open-telemetry/semantic-conventions-genai"""

MODEL = "gen_ai_request_model"
OPERATION = "gen_ai_operation_name"
TOKEN = "gen_ai_token_type"  # noqa: S105 - no secret
ERROR = "error_type"

DURATIONS = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
"""Seconds: the conventions' advice for gen_ai.server.request.duration."""

FIRST = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""Seconds: the same for gen_ai.server.time_to_first_token."""

PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""Seconds: the same for gen_ai.server.time_per_output_token."""

_HISTOGRAMS = 40
"""Sets of labels of one histogram: they are 17 to 19 series each. Together with the limits below,
10,000 series hold what 200 models on 200 backends have (tests/unit/metrics/test_cardinality.py)."""

REQUESTS = Family(
    "infergate_requests_total",
    "counter",
    "Requests, by the status they were answered with (0xx: not at all) and the error, if any.",
    (MODEL, "backend", "status", ERROR),
    closed=frozenset(("status",)),
    at_most=1400,
)
TOKENS = Family(
    "infergate_tokens_total",
    "counter",
    "Tokens: input, output, and cache_read, which are those of the input that were cached.",
    (MODEL, TOKEN),
    closed=frozenset((TOKEN,)),
    at_most=600,
)
COST = Family(
    "infergate_cost_total",
    "counter",
    "What requests cost by the models' prices, in usage.currency.",
    (MODEL,),
    at_most=200,
    scale=1_000_000_000,
)
ATTEMPTS = Family(
    "infergate_attempts_total",
    "counter",
    "What was sent to backends, by how it was answered there (none: not at all).",
    ("backend", "status"),
    closed=frozenset(("status",)),
    at_most=500,
)
REROUTES = Family(
    "infergate_reroutes_total",
    "counter",
    "Where requests went besides: retry (an attempt after one that failed), fallback (to another "
    "model), hedge (a second backend asked next to a late one), continue (of a stream that broke "
    "off, another backend).",
    (MODEL, "kind"),
    closed=frozenset(("kind",)),
    at_most=200,
)
INCOMPLETE = Family(
    "infergate_incomplete_answers_total",
    "counter",
    "Answers that did not go out to their end, because the client left."
    " Of one that the backend broke off, error_type is stream_truncated or answer_truncated.",
    (MODEL,),
    at_most=100,
)
CACHE = Family(
    "infergate_cache_requests_total",
    "counter",
    "Requests of models with a cache: hit, miss, expired, bypass.",
    (MODEL, "result"),
    closed=frozenset(("result",)),
    at_most=100,
)
LIMITS = Family(
    "infergate_limit_refusals_total",
    "counter",
    "Requests refused by a limit: requests or tokens (a minute), concurrent, budget, address "
    "(access.per_ip), queue (its places); and whose it is: key, model, gateway.",
    ("limit", "owner"),
    closed=frozenset(("limit", "owner")),
    at_most=12,
)
BLOCKED = Family(
    "infergate_guardrail_refusals_total",
    "counter",
    "What guardrails refused, by what (deny, pii, judge, unseen), in requests or answers.",
    ("guardrail", "what", "side"),
    closed=frozenset(("what", "side")),
    at_most=100,
)
WAF = Family(
    "infergate_waf_matches_total",
    "counter",
    "Requests that a rule of the firewall matched, by its number; attack: whether they reached "
    "waf.threshold. Of what logs/waf.log has: some seconds late, and a kill may count one twice.",
    ("rule", "attack"),
    closed=frozenset(("attack",)),
    at_most=200,
)
SERVICES = Family(
    "infergate_service_requests_total",
    "counter",
    "Requests to web services next to the models.",
    ("service", "status"),
    closed=frozenset(("status",)),
    at_most=50,
)
DURATION = Family(
    "gen_ai_server_request_duration_seconds",
    "histogram",
    "From a request's first byte to its answer's last, of those that a backend had.",
    (MODEL, OPERATION),
    "gen_ai.server.request.duration",
    closed=frozenset((OPERATION,)),
    at_most=_HISTOGRAMS,
    bounds=DURATIONS,
    scale=1000,
)
FIRST_BYTE = Family(
    "infergate_time_to_first_byte_seconds",
    "histogram",
    "Until the answering backend sent its head, in good answers. vLLM sends it at once.",
    (MODEL, OPERATION),
    closed=frozenset((OPERATION,)),
    at_most=_HISTOGRAMS,
    bounds=FIRST,
    scale=1000,
)
FIRST_TOKEN = Family(
    "gen_ai_server_time_to_first_token_seconds",
    "histogram",
    "From a request's first byte to the first piece of its answer's body, queue and failed "
    "attempts included, in good answers that are streamed. That piece is the first token, or the "
    "role that vLLM sends just before it; of /v1/responses and of Anthropic's streams it is the "
    "event that announces the answer.",
    (MODEL, OPERATION),
    "gen_ai.server.time_to_first_token",
    closed=frozenset((OPERATION,)),
    at_most=_HISTOGRAMS,
    bounds=FIRST,
    scale=1000,
)
TOKEN_TIME = Family(
    "infergate_time_per_output_token_seconds",
    "histogram",
    "The time of a good answer, without the queue, divided by its tokens.",
    (MODEL, OPERATION),
    closed=frozenset((OPERATION,)),
    at_most=_HISTOGRAMS,
    bounds=PER_TOKEN,
    scale=1_000_000,
)
QUEUE = Family(
    "infergate_queue_wait_seconds",
    "histogram",
    "How long requests to a model waited for a free backend; 0 for those that did not.",
    (MODEL,),
    at_most=_HISTOGRAMS,
    bounds=DURATIONS,
    scale=1000,
)
BY_HOUR = Family(
    "first_byte_by_hour",
    "histogram",
    "Until a good answer began, by hour (Unix seconds of its beginning): of the page, not told to "
    "Prometheus, which has hours of its own.",
    ("hour",),
    bounds=BOUNDS_S,
    scale=1000,
)
KEY_REQUESTS = Family(
    "infergate_key_requests_total",
    "counter",
    "Requests of the metrics.keys keys that had the most.",
    ("key", "team"),
)
KEY_ERRORS = Family(
    "infergate_key_errors_total",
    "counter",
    "Those of them that were answered with 400 or above, or not at all.",
    ("key", "team"),
)
KEY_TOKENS = Family(
    "infergate_key_tokens_total",
    "counter",
    "Their tokens, as of infergate_tokens_total.",
    ("key", "team", TOKEN),
)
KEY_COST = Family(
    "infergate_key_cost_total",
    "counter",
    "What they cost, in usage.currency.",
    ("key", "team"),
    scale=1_000_000_000,
)

COUNTED = (
    *(REQUESTS, TOKENS, COST, ATTEMPTS, REROUTES, INCOMPLETE, CACHE, LIMITS),
    *(BLOCKED, WAF, SERVICES),
    *(DURATION, FIRST_BYTE, FIRST_TOKEN, TOKEN_TIME, QUEUE),
)
"""Counted of every gateway."""

OF_KEYS = (KEY_REQUESTS, KEY_ERRORS, KEY_TOKENS, KEY_COST)
"""Counted where `metrics: keys:` asks for it; the ledger keeps them of every key, without teams."""
