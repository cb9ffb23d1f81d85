"""Lines of the access log that the ledger counts in a second of CPU: `python -m bench.ledger`."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from infergate.config.load import parse_config
from infergate.ledger.ledger import Ledger
from infergate.paths import Home
from infergate.store.database import database_for
from tests.access_log import in_store, line, told

LINES = 200_000
CONFIG = """
backends: { a: http://127.0.0.1:9 }
models: { m: { backends: [a], price: { input: 0.15, output: 0.6 } } }
"""


def measure(folder: Path, keys: int) -> str:
    """A sentence. keys: as many different ones; each line has one of 3 models and 4 backends."""
    chance = random.Random(1)
    home = Home(folder)
    home.logs.mkdir()
    config = parse_config(CONFIG, folder / "x.yaml", {}).config
    with home.access_log.open("w") as file:
        for number in range(LINES):
            file.write(
                line(
                    ts=1_795_000_000 + number / 20_000,
                    key=f"key-{chance.randrange(keys)}",
                    **{"gen_ai.request.model": chance.choice("mno")},
                    backend=chance.choice("abcd"),
                    **told(chance.randrange(4000), chance.randrange(500), 0),
                )
            )
    database = database_for(config, home, keep=True)
    ledger = Ledger(home, database, lambda: config)
    began = time.process_time()
    while ledger.step().lines:
        pass
    cpu_s = time.process_time() - began
    assert in_store(database)[0] == LINES
    size = home.access_log.stat().st_size / LINES
    return f"{keys:6,} keys: {LINES / cpu_s:9,.0f} lines a second of CPU, of {size:.0f} bytes"


if __name__ == "__main__":
    for count in (20, 10_000):
        with tempfile.TemporaryDirectory(prefix="ig-") as name:
            print(measure(Path(name), count))
