"""A process under valgrind's callgrind, which counts what it executes."""

from __future__ import annotations

import subprocess
from pathlib import Path

_DUMP_WITHIN_S = 60.0


def options(out: Path) -> tuple[str, ...]:
    """Of the command, before that of the process. out: a folder for what it writes."""
    return (
        "valgrind",
        "--tool=callgrind",
        f"--vgdb-prefix={out}/vgdb",
        "--quiet",
        f"--callgrind-out-file={out}/out",
    )


class Callgrind:
    """A process under callgrind."""

    def __init__(self, pid: int, out: Path) -> None:
        self._pid, self._out, self._dumps = pid, out, 0

    def executed(self) -> int:
        """Instructions since the last call of this."""
        command = ["vgdb", f"--vgdb-prefix={self._out}/vgdb", f"--pid={self._pid}", "dump"]
        subprocess.run(command, check=True, capture_output=True, timeout=_DUMP_WITHIN_S)
        self._dumps += 1
        dump = (self._out / f"out.{self._dumps}").read_text()
        return int(dump.rpartition("\ntotals: ")[2].split()[0])
