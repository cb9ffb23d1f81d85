"""Bring a configuration into force: render, test, switch, reload, prove it, else roll back."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.errors import ApplyError, EngineError, StateError
from infergate.files import locked
from infergate.nginx.addresses import host_names, resolve
from infergate.nginx.engine import Engine
from infergate.nginx.render import Surroundings, render, write
from infergate.nginx.shared_memory import read
from infergate.nginx.surroundings import prepare_home, survey, worker_user
from infergate.nginx.tls import responders, served
from infergate.paths import Home

KEPT_REVISIONS = 10
_PROOF_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Revision:
    """One rendered configuration on disk."""

    number: int
    path: Path


def stage(loaded: LoadedConfig, home: Home, engine: Engine) -> Revision:
    """Render a new revision and have nginx test it. Nothing that runs is touched.

    Raises EngineError with nginx's own words if it refuses the files.
    """
    prepare_home(home, worker_user(loaded.config, home))
    number = 1 + max((int(p.name) for p in home.revisions.iterdir() if p.name.isdigit()), default=0)
    path = home.revisions / str(number)
    addresses = _addresses(loaded, home)
    write(render(loaded.config, survey(loaded, home, engine, number, addresses)), path)
    try:
        test(engine, path, home)
    except EngineError:
        shutil.rmtree(path)
        raise
    return Revision(number, path)


def surroundings_for(loaded: LoadedConfig, home: Home, engine: Engine) -> Surroundings:
    """What `infergate render` renders with: names resolved, a certificate made if needed."""
    return survey(loaded, home, engine, 0, _addresses(loaded, home))


def _addresses(loaded: LoadedConfig, home: Home) -> Mapping[str, tuple[str, ...]]:
    return resolve(host_names(loaded.config) | responders(served(loaded, home)))


def test_elsewhere(loaded: LoadedConfig, engine: Engine, folder: Path) -> list[str]:
    """Have nginx test the configuration in a scratch folder, with no DNS; returns what to note.

    Raises EngineError if nginx refuses the files. A port that only root may open is noted: the
    files are right, it is this user who cannot start them.
    """
    home = Home(folder)
    prepare_home(home, worker_user(loaded.config, home))
    write(render(loaded.config, survey(loaded, home, engine, 0, {})), home.revisions / "0")
    try:
        test(engine, home.revisions / "0", home)
    except EngineError as problem:
        denied = re.findall(r"bind\(\) to (\S+) failed \(13: ", problem.what)
        if "syntax is ok" not in problem.what or not denied:
            raise
        return [
            f"you may not listen on {address}: start as root, or choose a port above 1023"
            for address in denied
        ]
    return []


def test(engine: Engine, folder: Path, home: Home) -> str:
    """Ask nginx whether the rendered files below folder are a configuration; returns its words.

    Raises EngineError if they are not.
    """
    configuration = str(folder / "nginx.conf")
    command = engine.command("-t", "-p", str(home.root), "-c", configuration, "-e", "stderr")
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        raise EngineError(
            "nginx refuses the configuration:\n  " + result.stderr.strip().replace("\n", "\n  "),
            where=str(folder),
        )
    return result.stderr


def switch(home: Home, revision: Path) -> None:
    """Let `current` name this revision, in one step."""
    temporary = home.root / ".current"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(revision.relative_to(home.root))
    temporary.replace(home.current)


def apply(loaded: LoadedConfig, home: Home, engine: Engine) -> Revision:
    """Bring the configuration into force in the nginx that runs, without dropping a stream.

    Raises EngineError if nginx refuses the files: nothing has changed then. Raises ApplyError if
    nginx did not come up with them: the previous revision is in force again.
    """
    with locked(home.run / "apply.lock"):
        revision = stage(loaded, home, engine)
        previous = home.current.resolve()
        switch(home, revision.path)
        reload_nginx(home)
        problem = _wait_for(home, revision.number)
        if problem is not None:
            switch(home, previous)
            reload_nginx(home)
            raise ApplyError(
                f"the new configuration did not come into force ({problem}); "
                f"revision {previous.name} is in force again",
                where=str(home.logs / "error.log"),
                hint=error_log_tail(home),
            )
        forget_old(home)
        return revision


def reload_nginx(home: Home) -> None:
    """Tell the nginx master to read `current` again."""
    os.kill(int((home.run / "nginx.pid").read_text()), signal.SIGHUP)


def _wait_for(home: Home, number: int) -> str | None:
    """None once a worker with this revision answers; otherwise what was seen instead."""
    deadline = time.monotonic() + _PROOF_TIMEOUT_S
    seen = "nginx did not answer"
    while time.monotonic() < deadline:
        try:
            live = read(home.socket)
        except StateError as problem:
            seen = problem.what
        else:
            if live.revision == number:
                return None
            seen = f"revision {live.revision} goes on answering"
        time.sleep(0.05)
    return seen


def error_log_tail(home: Home, lines: int = 3) -> str:
    """The last lines of nginx's error log."""
    try:
        return "\n  ".join((home.logs / "error.log").read_text().splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def forget_old(home: Home) -> None:
    """Remove all but the last revisions; the one in force always stays."""
    numbers = sorted(int(path.name) for path in home.revisions.iterdir() if path.name.isdigit())
    for number in numbers[:-KEPT_REVISIONS]:
        if home.revisions / str(number) != home.current.resolve():
            shutil.rmtree(home.revisions / str(number))
