"""Has nginx read the active revision again, and says what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from infergate.errors import ApplyError, StateError
from infergate.live.drain import note_old_workers
from infergate.live.revisions import Revision, current, switch
from infergate.live.shared_memory import NginxNotThere, read
from infergate.nginx.error_line import said
from infergate.paths import Home
from infergate.processes import works_in
from infergate.worker_files import tail_of

_PROOF_TIMEOUT_S = 20.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.1


def put_in_force(home: Home, revision: Revision, *, reload: bool) -> None:
    """Have `current` name a revision, and nginx run it if it does not. reload: if False, nginx goes
    on as it is. Raises ApplyError if nginx does not come up with it."""
    now = current(home)
    if now is None or now.number != revision.number:
        switch(home, revision)
    if not reload or _runs(home, revision):
        return
    problem = reloaded(home, revision)
    if problem is not None:
        where = str(home.logs / "error.log")
        raise ApplyError(f"nginx does not come up with revision {revision.number}", where=where)


def _runs(home: Home, revision: Revision) -> bool:
    """Whether nginx does by its own word; also where it does not run: then it will."""
    try:
        return read(home.socket).revision == revision.number
    except NginxNotThere:
        return True
    except StateError:
        return False


def reloaded(home: Home, revision: Revision) -> str | None:
    """What was seen instead of a worker that answers with this revision; None if one does."""
    logged = _error_log_size(home)
    reload_nginx(home)
    return _wait_for(home, revision.number, logged)


def reload_nginx(home: Home) -> None:
    """Tell the nginx master to read `current` again. One that has just died is started again by the
    supervisor, and reads it then."""
    with contextlib.suppress(OSError, ValueError):
        master = int((home.run / "nginx.pid").read_text())
        if not works_in(master, home.root):
            return  # another process was given its number
        with contextlib.suppress(StateError):  # a full disk: then nobody tells how old they are
            note_old_workers(home, master)
        os.kill(master, signal.SIGHUP)


def _wait_for(home: Home, number: int, logged: int) -> str | None:
    """None once a worker with this revision answers; otherwise what was seen instead.

    logged: the size of the error log before nginx was told. It says there when it gives up.
    """
    deadline = time.monotonic() + _PROOF_TIMEOUT_S
    seen, pause_s = "nginx did not answer", _FIRST_PAUSE_S
    while time.monotonic() < deadline:
        try:
            live = read(home.socket)
        except StateError as problem:
            seen = problem.what
        else:
            if live.revision == number:
                return None
            seen = f"revision {live.revision} goes on answering"
        if _has_given_up(home, logged):
            return seen
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.1, _LONGEST_PAUSE_S)  # it may go on for all of the time
    return seen


def _has_given_up(home: Home, logged: int) -> bool:
    """Whether nginx has said since then that it goes on as before. A port that is taken is no end
    yet: it tries five times, half a second apart (ngx_open_listening_sockets)."""
    new = max(0, min(_error_log_size(home) - logged, 2**20))
    return any(
        level == "emerg" and not words.startswith("bind() to ")
        for level, words in said(tail_of(home.logs / "error.log", new))
    )


def _error_log_size(home: Home) -> int:
    try:
        return (home.logs / "error.log").stat().st_size
    except FileNotFoundError:
        return 0


def error_log_tail(home: Home, lines: int = 3) -> str:
    """The last lines of nginx's error log."""
    return "\n  ".join(tail_of(home.logs / "error.log").splitlines()[-lines:])
