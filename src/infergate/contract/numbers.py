"""Numbers that the configuration, nginx's files and njs go by."""

RETRY_ATTEMPTS = 3
"""Of a model that does not say (docs/routing.md)."""
RETRY_BUDGET = 0.2

RUNG_FACTOR = 4
"""Each rung of the ladder of timeouts is this many times the one below. nginx makes an engine of
njs for each location when it starts, which takes it about 20 ms: hence few."""

RELAY_PARTS = 4
"""Of a location's name, "_" between them, before how the backend is reached (nginx/relays.py)."""
RELAY_FIRST = 2
"""Which of them is the time of the first byte, ms."""

TOKEN_MS = 3_600_000
"""What the API tier was lent ends with its request, and after so long in any case."""

LONGEST_NAME = 256
"""Characters of a model's name as the log has it."""

FOR_EVER_MS = 10**12
"""Longer than anything lasts: the timeout of requests in flight."""

BYTES_PER_TOKEN = 4
"""OpenAI's rule of thumb, of text."""

PROMPT_BLOCK = 8192
"""Bytes of a prompt of which the index of balance: work knows whether a backend had them before
(njs/blocks.js)."""

KV_CACHE_TOKENS = 1_000_000
"""Of an engine that does not say: too many cost little, too few cost much (decision 034)."""

PREFILL_TOKENS_MS = 8
"""Tokens of a prompt that an engine reads in a ms, where nobody said (decision 034)."""

OWED_PENDING = 2**26
"""What a backend owes is one number: so many times the tokens that are pending there, and those of
all prompts in flight (njs/owed.js)."""

HEDGE_BUCKETS = 88
"""The last bucket of the times of a model's answers; the first is 0."""

NO_SCORE = 1e99
"""No backend's score is as high."""
