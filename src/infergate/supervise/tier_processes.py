"""How the API tier's processes are, left by the supervisor for `infergate status` and `doctor`; and
of which revision, for `infergate apply`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from infergate.errors import InfergateError
from infergate.files import write_atomically
from infergate.log import log


@dataclass(frozen=True)
class TierProcess:
    """One process. name: api, endpoints, batches or responses. pid: None while it does not run.
    restarts: how often it was started again since the active revision or the gateway began. since:
    when it began, or ended, Unix seconds; None where nobody has asked it yet, so that it has not
    begun. ended: how it last did, a code of exit or what the system said; "" if it never has.
    """

    name: str
    pid: int | None = None
    restarts: int = 0
    since: float | None = None
    ended: str = ""

    @property
    def is_down(self) -> bool:
        """It has begun, and does not run."""
        return self.pid is None and self.since is not None


class TierProcesses:
    """All of a gateway."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._watched: list[Watched] = []
        self._followed: dict[str, str] = {}
        self.write()  # what an earlier supervisor left there is over

    def watch(self, name: str) -> Watched:
        """One more."""
        found = Watched(TierProcess(name), self)
        self._watched.append(found)
        self.write()
        return found

    def forget(self, watched: Watched) -> None:
        """It is replaced, or nobody wants it any more."""
        if watched in self._watched:
            self._watched.remove(watched)
            self.write()

    def follows(self, who: str, revision: str) -> None:
        """Whoever keeps processes running has those of this revision (revisions.named), and none of
        before takes requests any more."""
        self._followed[who] = revision
        self.write()

    def write(self) -> None:
        """Leave word of all."""
        told = [asdict(each.process) for each in self._watched]
        try:
            write_atomically(
                self._file, json.dumps({"processes": told, "followed": self._followed})
            )
        except InfergateError as problem:
            log.error("how the API tier is could not be written down", problem=str(problem))


class Watched:
    """One process, for supervise/child.py to tell of."""

    def __init__(self, process: TierProcess, among: TierProcesses) -> None:
        self.process, self._among = process, among

    def began(self, pid: int) -> None:
        """Each time."""
        again = self.process.ended != ""
        restarts = self.process.restarts + again
        self.process = replace(self.process, pid=pid, restarts=restarts, since=time.time())
        self._among.write()

    def ended(self, code: object) -> None:
        """code: of its exit, negative for a signal; or why it could not be started. Where it stays
        down, it is so since it ended first."""
        since = self.process.since if self.process.is_down else time.time()
        self.process = replace(self.process, pid=None, since=since, ended=str(code))
        self._among.write()


def read_tier(file: Path) -> tuple[TierProcess, ...]:
    """What the supervisor left; none where nobody has."""
    try:
        return tuple(TierProcess(**each) for each in _read(file)["processes"])
    except (LookupError, TypeError):
        return ()


def all_follow(file: Path, revision: str) -> bool:
    """Whether all processes are those of this revision."""
    followed = _read(file).get("followed")
    return isinstance(followed, dict) and set(followed.values()) == {revision}


def _read(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
