"""The gateway's processes and sockets: what is gone, and what was left behind."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infergate.hardening.check import Check, Severity, bad, good
from infergate.paths import Home
from infergate.processes import works_in
from infergate.supervise.instance import Running, running
from infergate.supervise.tier_processes import read_tier

_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    title: str


def check_processes(home: Home) -> Iterator[Check]:
    """What does not run, and what runs from an earlier start."""
    found = running(home)
    if found.nginx is None and found.supervisor is None:
        yield bad("process.gateway", "high", "the gateway does not run", "infergate up")
    else:
        yield from _parts(found)
        if found.supervisor is not None:
            yield from _tier(home)
    strangers = [each for each in _left_over(home, found) if each.pid != os.getpid()]
    for each in strangers:
        yield bad(
            f"process.{each.pid}",
            "medium",
            f"process {each.pid} of an earlier start still runs: {each.title}",
            f"It ends with its last stream, or at once: kill {each.pid}",
        )
    if not strangers:
        yield good("process.left_over", "medium", "no process of an earlier start is left")


def _parts(found: Running) -> Iterator[Check]:
    for name, pid, without in (
        ("nginx", found.nginx, "nobody is answered"),
        ("supervisor", found.supervisor, "nothing that dies is started again"),
        ("control", found.control, "nothing is probed or counted"),
    ):
        if pid is None:
            severity: Severity = "high" if name == "nginx" else "medium"
            cure = "infergate up"
            if found.supervisor is not None:
                cure = "It is started again with back-off: logs/gateway.log says why it ended."
            yield bad(f"process.{name}", severity, f"{name} does not run: {without}", cure)
        else:
            yield good(f"process.{name}", "high", f"{name} runs (process {pid})")


def _tier(home: Home) -> Iterator[Check]:
    for each in read_tier(home.tier_processes):
        name = f"process.tier.{each.name}"
        if each.is_down:
            what = f"the API tier's process {each.name} does not run: it ended with {each.ended}"
            cure = "It is started again with back-off: logs/gateway.log says why it ended."
            yield bad(name, "medium", what, cure)
        elif each.pid is not None:
            yield good(name, "medium", f"the API tier's {each.name} runs (process {each.pid})")


def check_sockets(home: Home) -> Iterator[Check]:
    """Each socket in the state folder: whether somebody is behind it."""
    runs = running(home)
    for path, owner in (
        (home.socket, runs.nginx),
        (home.queue_socket, runs.nginx),
        (home.admin_socket, runs.supervisor),
    ):
        answers = _answers(path)
        name = f"socket.{path.parent.name}.{path.stem}"
        if owner is None and answers is False:
            what, cure = f"{path} was left behind", "Nothing to do: the next start removes it."
            yield bad(name, "low", what, cure)
        elif owner is not None and not answers:
            why = "is gone" if answers is None else "is not answered"
            cure = "`infergate down`, then `infergate up`: something removed or blocked it."
            yield bad(name, "high", f"{path} {why}", cure)
        elif owner is not None:
            yield good(name, "high", f"{path.name} in {path.parent.name}/ is answered")


def _answers(path: Path) -> bool | None:
    """None: there is no such socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_TIMEOUT_S)
        try:
            asking.connect(str(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return False
    return True


def _left_over(home: Home, found: Running) -> Iterator[_Process]:
    """Processes of ours that descend from none that is known."""
    there = {each.pid: each for each in _working_in(home)}
    roots = {found.supervisor, found.nginx, found.control, os.getpid()}
    for each in there.values():
        ours = each.title.startswith("nginx: ") or "infergate." in each.title
        if ours and not _descends(each, roots, there):
            yield each


def _descends(process: _Process, roots: set[int | None], there: Mapping[int, _Process]) -> bool:
    each: _Process | None = process
    while each is not None:
        if each.pid in roots or each.parent in roots:
            return True
        each = there.get(each.parent)
    return False


def _working_in(home: Home) -> Iterator[_Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        # It ends while we look, or is another user's.
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(folder.name)
            if (folder / "cwd").readlink() and works_in(pid, home.root):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                words = (folder / "cmdline").read_bytes().split(b"\0")
                title = " ".join(each.decode(errors="replace") for each in words).strip()
                yield _Process(pid, int(fields[1]), title[:120])
