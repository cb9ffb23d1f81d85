"""For schemathesis: what the formats of the OpenAPI document mean that a pattern cannot say."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

_BUDGETS = st.builds(
    "{}{}-{}/{}".format,
    st.integers(min_value=1, max_value=1000),
    st.sampled_from(["", "k", "M"]),
    st.sampled_from(["tokens", "requests", "EUR"]),
    st.sampled_from(["hour", "day", "week", "month"]),
)
_INSIDE = st.ip_addresses(network="10.0.0.0/8")
# None of this machine's own, which nobody may ban.
_NETWORKS = (_INSIDE | st.ip_addresses(network="2001:db8::/32")).map(str) | _INSIDE.map(
    lambda address: f"{str(address).rpartition('.')[0]}.0/24"
)
_KEYS = st.from_regex(r'\A("Bearer [a-z0-9]{1,40}" [01];\n){0,5}\Z')

_URLS = st.builds(
    "http://10.0.{}.{}:{}".format, st.integers(0, 255), st.integers(0, 255), st.integers(1, 65535)
)

schemathesis.openapi.format("base-url", _URLS)
schemathesis.openapi.format("budget", _BUDGETS)
schemathesis.openapi.format("ip-network", _NETWORKS)
schemathesis.openapi.format("keys", _KEYS)
