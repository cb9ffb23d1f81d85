"""What is told of the moment: the one table of these names. What is counted is in counted.py."""

from __future__ import annotations

from infergate.metrics.family import Family, Kind


def _family(name: str, meaning: str, *labels: str, kind: Kind = "gauge") -> Family:
    return Family(f"infergate_{name}", kind, meaning, labels)


BUILD = _family("build_info", "Always 1.", "version", "engine")
PROCESS = _family(
    "process_up", "Whether it runs: 1 or 0. Of supervisor, nginx, control.", "process"
)
REVISION = _family("configuration_revision", "Number of the active configuration.")
APPLIED = _family("configuration_applied", "Whether infergate.yaml is what is active: 1 or 0.")
KEYS = _family("keys", "Valid keys.")
IN_FLIGHT = _family("in_flight_requests", "Requests that a backend has of us now.", "backend")
QUEUED = _family("queued_requests", "Requests that wait for a free backend now.")

QUEUED_FOR = _family(
    "model_queued_requests",
    "Those of them that wait for a model; of models that somebody has waited for.",
    "gen_ai_request_model",
)

WITHOUT_BACKEND = _family(
    "models_without_backend", "Models, of those that /readyz needs, that no backend is there for."
)
BUDGETS_NEARLY = _family("budgets_nearly_spent", "Budgets that are used by 90 % or more.")
BUDGET_USED = _family(
    "budget_used_ratio",
    "How far a budget is used, of a key or a team; of metrics.keys budgets, the furthest ones.",
    *("key", "team", "budget"),
)

STATE = _family(
    "backend_state",
    "1 for the state it is in: up, slow, draining, down, hung, unknown (docs/health.md).",
    *("backend", "state"),
)
BACKEND_UP = _family("backend_up", "Whether it gets requests like any other: 1 or 0.", "backend")
ENGINE = _family("backend_info", "Always 1.", "backend", "engine", "version")
BREAKER = _family(
    "backend_breaker_open", "Whether its circuit breaker keeps requests away: 1 or 0.", "backend"
)
PROBE = _family("backend_probe_seconds", "How long its last good probe took.", "backend")
MODELS = _family("backend_models", "Models that it has.", "backend")
LOADED = _family(
    "backend_loaded_models",
    "Those that it has in memory, as far as it says (Ollama does).",
    "backend",
)
RUNNING = _family(
    "backend_running_requests", "Requests that it works on, as it says itself.", "backend"
)
WAITING = _family(
    "backend_waiting_requests", "Requests in its own queue, as it says itself.", "backend"
)
KV_CACHE = _family("backend_kv_cache_used_ratio", "Of its KV cache, 0 to 1.", "backend")
GENERATED = _family(
    "backend_generation_tokens_total",
    "Tokens it wrote since it started, for whomever.",
    "backend",
    kind="counter",
)
PROMPTED = _family(
    "backend_prompt_tokens_total",
    "Tokens of prompts it read since it started, for whomever.",
    "backend",
    kind="counter",
)
FIRST_TOKEN = _family(
    "backend_time_to_first_token_seconds",
    "Until the first token, by the engine's own word (vLLM, SGLang), of everybody's requests.",
    "backend",
    kind="summary",
)
TOKEN_TIME = _family(
    "backend_time_per_output_token_seconds",
    "For each token after the first, by the engine's own word (vLLM, SGLang; llama.cpp: each).",
    "backend",
    kind="summary",
)
SERVICE_UP = _family("service_up", "Whether a web service next to the models answers.", "service")
MISSING = _family(
    "missing_models", "Pairs of a model and a backend that the file names and that are not there."
)

ZONE_BYTES = _family("zone_bytes", "Size of a zone of nginx's shared memory.", "zone")
ZONE_USED = _family(
    "zone_used_ratio",
    'How full it is, 0 to 1. evicts="true": it gives up its oldest entries rather than be full.',
    *("zone", "evicts"),
)
CONNECTIONS = _family(
    "nginx_connections",
    "Connections now: reading, writing, waiting (kept alive). The embedded engine cannot tell "
    "these apart: open, as the kernel counts those of clients.",
    "state",
)
ACCEPTED = _family(
    "nginx_connections_accepted_total",
    "Connections since nginx started. Not of the embedded engine.",
    kind="counter",
)
OLD_WORKERS = _family("nginx_old_workers", "Workers that finish streams of before a reload.")

EXPIRES = _family("certificate_expires_timestamp_seconds", "When it ends.", "site")
CERTIFICATE_PROBLEM = _family(
    "certificate_problem", "Whether something is wrong with it: 1 or 0.", "site"
)

LAG = _family("ledger_lag_bytes", "Of the access log, not counted yet.")
LEDGER_AT = _family("ledger_timestamp_seconds", "When the ledger last said how it stands.")
LEDGER_STOPPED = _family("ledger_stopped", "Whether it cannot count: 1 or 0.")
UNREADABLE = _family(
    "ledger_unreadable_lines_total",
    "Lines that were no requests, since the ledger was started.",
    kind="counter",
)
KILLED = _family(
    "nginx_workers_killed_total",
    "Workers of nginx that died, since the ledger was started; each lost lines of a tenth of a "
    "second.",
    kind="counter",
)
FAILING = _family("control_loops_failing", "Parts of the control plane that fail now.")
BANS = _family("banned_networks", "Networks that are banned now.")

LIVE = tuple(value for value in globals().values() if isinstance(value, Family))
"""All of them, in this order."""
