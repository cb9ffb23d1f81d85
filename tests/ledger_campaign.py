"""Kills the ledger again and again while the log is written, and says whether its counts are exact.

python -m tests.ledger_campaign FOLDER KILLS SEED [STORE]

The ledger runs in a process of its own and is killed (SIGKILL) at random moments; a writer appends
to the log as nginx does, and rotates it by renaming. STORE: what stands behind `store:`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infergate.config.load import parse_config
from infergate.errors import StateError
from infergate.ledger import tail
from infergate.ledger.ledger import Ledger
from infergate.paths import Home
from infergate.store.checkpoints import lines_counted
from infergate.store.database import database_for
from tests.access_log import in_logs, in_store, line, told


def _forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def _let_run(pid: int, cpu_s: float) -> None:
    """Until the process has had so much CPU: on a busy machine, that takes longer; ten seconds at
    most."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        on_cpu_ns = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        if on_cpu_ns / 1e9 >= cpu_s:
            return
        time.sleep(0.002)


def _write(log: Path, seed: int) -> None:
    """Until killed by SIGTERM: bursts of lines, some to the file of before the last rotation."""
    chance = random.Random(seed)
    going = True

    def stop(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    file = previous = log.open("ab", buffering=0)
    number = 0
    while going:
        lines = "".join(
            line(
                ts=time.time(),
                key=f"key-{chance.randrange(5)}",
                **{"gen_ai.request.model": chance.choice("mno")},
                **told(chance.randrange(10, 4000), chance.randrange(500), chance.randrange(9)),
            )
            for _ in range(chance.randrange(1, 60))
        )
        (previous if chance.random() < 0.05 else file).write(lines.encode())
        if chance.random() < 0.01:
            number += 1
            log.rename(log.with_name(f"{log.name}.{number}"))
            previous, file = file, log.open("ab", buffering=0)
        time.sleep(0.005)


def main(folder: Path, kills: int, seed: int, store: str) -> None:
    chance = random.Random(seed)
    home = Home(folder)
    home.logs.mkdir(parents=True, exist_ok=True)
    text = f"backends: {{ a: http://127.0.0.1:9 }}\n{store and f'store: {store}'}\n"
    config = parse_config(text, folder / "x.yaml", {}).config
    tail.BLOCK_BYTES = 20_000  # more transactions to be killed in

    def count() -> None:
        ledger = Ledger(home, database_for(config, home, keep=True), lambda: config)
        while True:
            try:
                ledger.step()
            except StateError:  # on PostgreSQL, the killed one's transaction may not be over yet
                time.sleep(0.01)

    with database_for(config, home).read():
        pass  # the tables are there
    writer = _forked(lambda: _write(home.access_log, seed))
    counted = set()
    for _ in range(kills):
        victim = _forked(count)
        _let_run(victim, chance.uniform(0.0, 0.25))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        counted.add(lines_counted(database_for(config, home))[0])
    os.kill(writer, signal.SIGTERM)
    os.waitpid(writer, 0)
    ledger = Ledger(home, database_for(config, home), lambda: config)
    left = 0
    while True:
        try:
            step = ledger.step()
        except StateError:
            time.sleep(0.1)
            continue
        if step.lines == 0:
            break
        left += step.lines
    wanted = in_logs(home.access_log)
    found = [in_store(database_for(config, home), period) for period in ("m", "h", "d")]
    lines, unreadable = lines_counted(database_for(config, home))
    print(f"{kills} kills, {wanted[0]} lines in {len(tail.log_files(home.access_log))} files, ")
    print(f"progress at {len(counted)} of them, {left} lines left for the last one")
    print(f"log {wanted}, counted {found[2]}")
    assert found == [wanted] * 3
    assert (lines, unreadable) == (wanted[0], 0)
    assert len(counted) > kills / 3, "the ledger hardly ever came to count"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "".join(sys.argv[4:]))
