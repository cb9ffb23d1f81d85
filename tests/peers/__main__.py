"""`python -m tests.peers SUITE [pytest's options]`: at the engine, and what passes there again
through the gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import reaper
from tests.backends.servers import free_port
from tests.cache import CACHE
from tests.pages import ROOT
from tests.peers.gateways import serve
from tests.peers.outcomes import Outcomes, differences, listed, passed, table

RECORDER = "peers_recorder"
"""What recorder.py is called where the suite's pytest loads it."""


def program_for(suite: Path) -> tuple[str, str]:
    """The engine's program that a suite starts, and the variable that names it, if there is one."""
    if "llama" in str(suite.resolve()) or (suite / "utils.py").is_file():
        return "llama-server", "LLAMA_SERVER_BIN_PATH"
    return "vllm", ""


def run(
    suite: Path, options: list[str], folder: Path, *, only: list[str] | None = None
) -> Outcomes:
    """At the engine; where `only` names tests, these alone and through the gateway."""
    name, variable = program_for(suite)
    program = os.environ.get("PEERS_PROGRAM") or shutil.which(name) or _built(name)
    stand_in = folder / name
    stand_in.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}:{ROOT}/src"\nexport PYTHONPATH\n'
        f'exec "{sys.executable}" -P -m tests.peers.stand_in "$@"\n'
    )
    stand_in.chmod(0o755)
    shutil.copy(Path(__file__).with_name("recorder.py"), folder / f"{RECORDER}.py")
    told, address = folder / "outcomes.json", folder / "gateways.socket"
    address.unlink(missing_ok=True)
    environ = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
        "PORT": str(free_port()),  # where llama.cpp's tests start their server
        "PEERS_PROGRAM": program,
        "PEERS_GATEWAYS": str(address),
        "PEERS_OUTCOMES": str(told),
        # One after another, at the same ports: so one gateway is enough for many.
        **({variable: str(stand_in), "PEERS_BEHIND": str(free_port())} if variable else {}),
    }
    if only is not None:
        names = folder / "only.json"
        names.write_text(json.dumps(only))
        environ |= {"PEERS_WAY": "gateway", "PEERS_ONLY": str(names)}
    command = [
        os.environ.get("PEERS_PYTHON", sys.executable),
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", RECORDER),
        *(options or ["."]),
    ]
    told.unlink(missing_ok=True)
    with subprocess.Popen(command, cwd=suite, env=environ) as running:
        serve(running, address)
    if not told.exists():
        raise SystemExit(f"the suite did not run: {suite}")
    return dict(json.loads(told.read_text()))


def _built(name: str) -> str:
    """The one that tests/backends/cache.py has built."""
    there = [CACHE / "llamacpp" / name, CACHE / "vllm" / "bin" / name]
    found = next((each for each in there if each.is_file()), None)
    if found is None:
        raise SystemExit(
            f"there is no {name} here: put it on the PATH, or name it in PEERS_PROGRAM"
        )
    return str(found)


def main() -> int:
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        print("make peers SUITE=/path/to/llama.cpp/tools/server/tests", file=sys.stderr)
        return 2
    suite, options = Path(sys.argv[1]), sys.argv[2:]
    _kept = reaper.start()  # which ends what it marked, when this one is gone
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        direct = run(suite, options, Path(folder))
        there = passed(direct)
        through = run(suite, options, Path(folder), only=there) if there else {}
    print("", *table(direct, through), "", sep="\n")
    found = differences(direct, through, listed())
    for each in found:
        print(f"{'listed' if each.has_reason else 'NEW   '}  {each.name}")
    new = sum(not each.has_reason for each in found)
    print(
        f"passed at the engine: {len(there)} of {len(direct)}; of these not through the gateway: "
        f"{len(found)}, without a reason in docs/peers.md: {new}"
    )
    return int(new > 0)


if __name__ == "__main__":
    sys.exit(main())
