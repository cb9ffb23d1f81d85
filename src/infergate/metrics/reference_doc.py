"""docs/metrics.md: `python -m infergate.metrics.reference_doc > docs/metrics.md`."""

from __future__ import annotations

from collections.abc import Iterable

from infergate.metrics.counted import CONVENTIONS, COUNTED, OF_KEYS
from infergate.metrics.family import OTHER, Family
from infergate.metrics.live import LIVE

_PAGE = """\
# Metrics

What `/metrics` tells Prometheus. Written from the code (`src/infergate/metrics/`) and tested to be
current; how it is scraped, rules, alerts and dashboards: [monitoring.md](monitoring.md).

Names are OpenTelemetry's, of version {conventions} of its conventions for generative AI, where it
has one; else they begin with `infergate_`. So do labels: `gen_ai_request_model` is the model a
request went to (after alias, canary and fallback; empty where there was none), `error_type` the
code of the error that the gateway answered, else the status. `status` is a class: `2xx`, `4xx`
(499 among them: the client left), `5xx`, `0xx` for no answer at all.

## Counted

From the access log, off the request path, in the transaction that counts usage: a request counts
once, whatever dies ([usage.md](usage.md)), about half a second after it ended. They go on where
they stood after a restart, an upgrade, or a restored backup. What had no request for 90 days is
forgotten.

{counted}
**Not more than 10,000 series** with 200 models, 200 backends and any number of keys: each metric
has so many sets of labels at most, and what comes later is counted with the model or backend
`{other}`. Who has a series keeps it, because a counter that falls looks as if it began anew.

With `metrics: {{ keys: 20 }}`, of the 20 keys with the most requests:

{keys}
Where the database cannot be read, none of these is told: that is a gap, and not a wrong rate.

## Now

{live}
Several gateways that share a PostgreSQL have each their own numbers; scrape each.
"""


def page() -> str:
    """The whole page."""
    return _PAGE.format(
        conventions=CONVENTIONS,
        other=OTHER,
        counted=_table(COUNTED),
        keys=_table(OF_KEYS),
        live=_table(LIVE),
    )


def _table(families: Iterable[Family]) -> str:
    rows = ["| metric | labels | meaning |\n|---|---|---|\n"]
    for each in families:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        name = f"`{each.name}`"
        if each.convention:
            name += f" (`{each.convention}`)"
        kind = "" if each.kind == "gauge" else f"{each.kind.capitalize()}. "
        most = f" At most {each.at_most} sets of labels." if each.at_most else ""
        rows.append(f"| {name} | {labels} | {kind}{each.meaning}{most} |\n")
    return "".join(rows)


if __name__ == "__main__":
    print(page(), end="")
