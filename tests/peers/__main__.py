"""`python -m tests.peers SUITE [pytest's options]`: at the engine, and through the gateway."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from tests import reaper
from tests.backends.servers import free_port
from tests.cache import CACHE
from tests.pages import DOCS, ROOT
from tests.peers.gateways import serve

WAYS = ("engine", "gateway")
LISTED = re.compile(r"(?m)^\| `([^`]+)` \|")


def outcomes(junit: Path) -> dict[str, str]:
    """passed, failed or skipped, by the test's name."""
    found = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        said = {child.tag for child in case}
        outcome = "failed" if said & {"failure", "error"} else "skipped" if said else "passed"
        found[f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"] = outcome
    return found


def only_here(direct: Mapping[str, str], through: Mapping[str, str]) -> list[str]:
    """What passes at the engine, and not through the gateway."""
    return sorted(
        name
        for name, outcome in direct.items()
        if outcome == "passed" and through.get(name) != "passed"
    )


def listed() -> list[str]:
    """The differences that docs/peers.md has, with their reasons: a name, or its beginning."""
    return LISTED.findall((DOCS / "peers.md").read_text())


def program_for(suite: Path) -> tuple[str, str]:
    """The engine's program that a suite starts, and the variable that names it, if there is one."""
    if "llama" in str(suite.resolve()) or (suite / "utils.py").is_file():
        return "llama-server", "LLAMA_SERVER_BIN_PATH"
    return "vllm", ""


def run(suite: Path, way: str, options: list[str], folder: Path) -> dict[str, str]:
    name, variable = program_for(suite)
    program = os.environ.get("PEERS_PROGRAM") or shutil.which(name) or _built(name)
    stand_in = folder / name
    stand_in.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}:{ROOT}/src"\nexport PYTHONPATH\n'
        f'exec "{sys.executable}" -P -m tests.peers.stand_in "$@"\n'
    )
    stand_in.chmod(0o755)
    junit, address = folder / f"{way}.xml", folder / f"{way}.socket"
    environ = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PEERS_WAY": way,
        "PORT": str(free_port()),  # where llama.cpp's tests start their server
        "PEERS_PROGRAM": program,
        "PEERS_GATEWAYS": str(address),
        **({variable: str(stand_in)} if variable else {}),
    }
    command = [
        os.environ.get("PEERS_PYTHON", sys.executable),
        *("-m", "pytest", "-q", f"--junitxml={junit}", "-p", "no:cacheprovider"),
        *(options or ["."]),
    ]
    with subprocess.Popen(command, cwd=suite, env=environ) as running:
        serve(running, address)
    if not junit.exists():
        raise SystemExit(f"the suite did not run: {suite}")
    return outcomes(junit)


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
        direct, through = (run(suite, way, options, Path(folder)) for way in WAYS)
    passed, here = (list(each.values()).count("passed") for each in (direct, through))
    print(f"\npassed at the engine: {passed} of {len(direct)}; through the gateway: {here}")
    known = listed()
    new = 0
    for name in only_here(direct, through):
        reason = next((each for each in known if name.startswith(each)), None)
        new += reason is None
        print(f"{'listed' if reason else 'NEW   '}  {name}")
    return int(new > 0)


if __name__ == "__main__":
    sys.exit(main())
