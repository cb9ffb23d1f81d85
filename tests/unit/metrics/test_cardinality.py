"""However many keys, models and backends there are, Prometheus gets 10,000 series at most."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

from infergate.admin.gateway import Gateway
from infergate.admin.metrics import text
from infergate.config.load import load_config
from infergate.config.usage import Price
from infergate.control.report import BackendReport
from infergate.ledger.count import count
from infergate.ledger.measures import Measures
from infergate.paths import Home
from infergate.store.metrics import add_metrics
from tests.access_log import NO_TOKENS, attempt, line

MODELS, BACKENDS, KEYS = 200, 200, 10_000
MOST = 10_000 - 200
"""A gateway that runs tells of its zones, certificates and services besides."""

STATUSES = ((200, ""), (400, ""), (429, "rate_limited"), (503, "backend_failed"))


def config() -> str:
    backends = {f"b{at}": f"http://127.0.0.1:{10_000 + at}" for at in range(BACKENDS)}
    models = {
        f"m{at}": {"backends": [f"b{(at + step) % BACKENDS}" for step in range(3)]}
        for at in range(MODELS)
    }
    return json.dumps({"backends": backends, "models": models, "metrics": {"keys": 100}})


def report() -> str:
    """What probes of all backends found, with all that an engine can tell."""
    backends = [
        vars(
            BackendReport(
                *(f"b{at}", "http://127.0.0.1", "up", "", 1.0, "vllm", "1", ("m",), None),
                *(1.0, 1, 1, 0.5, 10, 10, 1, 0.1, 9, 0.2),
            )
        )
        for at in range(BACKENDS)
    ]
    empty = {"missing": [], "conflicts": [], "inventories": {}}
    return json.dumps({"v": 3, "written_at": 1.0, "complete": True, "backends": backends, **empty})


def traffic() -> str:
    """Every model on three backends, answered and refused in every way, with every key."""
    keys = itertools.cycle(f"key-{at}" for at in range(KEYS))
    paths = itertools.cycle(("/v1/chat/completions", "/v1/completions", "/v1/embeddings"))
    lines = []
    for at, step in itertools.product(range(MODELS), range(51)):
        status, error = STATUSES[step % len(STATUSES)]
        backend = f"b{(at + step) % BACKENDS}"
        lines.append(
            line(
                key=next(keys),
                uri=next(paths),
                status=status,
                error=error,
                backend=backend,
                cache=("", "HIT", "MISS", "EXPIRED", "BYPASS")[step % 5],
                completed=step % 7 != 0,
                attempts=[attempt("b0", 503, 0.1), attempt(backend, status, 0.2)],
                why="-> x;" if step % 3 == 0 else "asked b1 too after 5 ms;",
                **{"gen_ai.request.model": f"m{at}"},
                **(NO_TOKENS if status != 200 else {}),
            )
        )
    return "".join(lines)


def test_ten_thousand_keys_and_two_hundred_models_are_ten_thousand_series_at_most(
    tmp_path: Path,
) -> None:
    file = tmp_path / "infergate.yaml"
    file.write_text(config())
    home = Home(tmp_path / "home")
    for each in (home.state, home.run, home.logs):
        each.mkdir(parents=True)
    gateway = Gateway(load_config(file, {}), home, keep=True)
    written = traffic()
    counted = count(written, lambda _: Price(input=1), Measures(keys=True))
    assert (counted.lines, counted.unreadable) == (MODELS * 51, 0)
    assert len(counted.keys) == KEYS
    with gateway.database.write() as connection:
        add_metrics(connection, "", counted.cells, time.time())
    home.health.write_text(report())
    told = text(gateway)
    series = [each for each in told.splitlines() if not each.startswith("#")]
    assert 7_000 < len(series) <= MOST, "as many as may be, and no more"
    requests = sum(
        float(each.rpartition(" ")[2])
        for each in series
        if each.startswith("infergate_requests_total")
    )
    assert requests == counted.lines, "what has no series of its own is counted all the same"
