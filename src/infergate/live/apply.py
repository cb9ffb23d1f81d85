"""Activate a configuration: render, test, switch, reload, prove it, else roll back."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.engine.choose import Engine
from infergate.errors import ApplyError, EngineError, InfergateError, StateError
from infergate.files import locked
from infergate.live.drain import wait_until_closed
from infergate.live.reload import error_log_tail, reload_nginx, reloaded
from infergate.live.revisions import (
    Revision,
    current,
    forget,
    forget_old,
    forget_unused,
    keep,
    mark_failed,
    next_number,
    switch,
)
from infergate.live.unfinished import Unfinished, begin, finish
from infergate.nginx.addresses import Addresses, host_names, resolve
from infergate.nginx.embedded_limits import (
    refuse_beyond_loopback,
    refuse_servers_beyond_loopback,
)
from infergate.nginx.folders import prepare_home
from infergate.nginx.hand_written import Written, by_hand, joined
from infergate.nginx.lint import refuse_findings
from infergate.nginx.passwords import publish_passwords
from infergate.nginx.render import render
from infergate.nginx.rendered import Rendered, write
from infergate.nginx.surroundings import survey
from infergate.nginx.tls import refuse_wrong_files, responders, served
from infergate.nginx.ways_past_keys import refuse_ways_past_keys
from infergate.nginx.worker_user import worker_user
from infergate.paths import Home

_TEST_TIMEOUT_S = 60.0


def stage(
    loaded: LoadedConfig,
    home: Home,
    engine: Engine,
    addresses: Addresses | None = None,
    *,
    of: int | None = None,
) -> Revision:
    """Render a new revision, look through it and have nginx test it. Nothing that runs is touched.

    addresses: of its names; looked up if None. of: the earlier revision that it brings back.
    Raises EngineError with nginx's own words if it refuses the files, or if the engine is not for
    this use (nginx/embedded_limits.py); LintError if we refuse them.
    """
    refuse_beyond_loopback(loaded.config, engine)
    refuse_wrong_files(loaded)
    prepare_home(home, worker_user(loaded.config, home))
    revision = kept(loaded, home, engine, addresses, of=of)
    written = by_hand(home)
    try:
        with tested(engine, revision.path, home):  # meanwhile, on another core
            refuse_findings(revision.path, loaded.config)
            if written:
                refuse_servers_beyond_loopback(revision.path, loaded.config, engine)
                refuse_ways_past_keys(revision.path, loaded.config, revision.addresses)
    except InfergateError as problem:
        forget(revision)
        for each in written:  # the operator's own file, and not our copy
            ours = f"{revision.path}/sites-enabled/{each.name}"
            problem.what = problem.what.replace(ours, str(each.path))
            if problem.where is not None:
                problem.where = problem.where.replace(ours, str(each.path))
        raise
    return revision


def rendered(
    loaded: LoadedConfig,
    home: Home,
    engine: Engine,
    number: int,
    addresses: Addresses | None = None,
    written: tuple[Written, ...] | None = None,
) -> Rendered:
    """The files of a configuration as the revision of this number.

    addresses: of its names; looked up if None. written: files by hand; those of home if None.
    Makes a self-signed certificate if one is needed.
    """
    if addresses is None:
        addresses = look_up(loaded, home)
    files = render(loaded.config, survey(loaded, home, engine, number, addresses))
    return joined(files, by_hand(home) if written is None else written)


def look_up(loaded: LoadedConfig, home: Home) -> Addresses:
    """The addresses of all names that nginx needs: of backends, services, login endpoints, and of
    who says whether a certificate was revoked.

    A name that does not resolve now has the addresses that nginx has of it: DNS may be away for a
    moment, and whoever is there must not be lost by that.
    """
    names = host_names(loaded.config) | responders(served(loaded, home))
    now = current(home)
    known = {name: tuple(each) for name, each in (now.addresses if now else {}).items()}
    return {name: known[name] for name in names if name in known} | dict(resolve(names))


def kept(
    loaded: LoadedConfig,
    home: Home,
    engine: Engine,
    addresses: Addresses | None = None,
    *,
    of: int | None = None,
) -> Revision:
    """Write a new revision's folder, and the passwords that its files name; see `stage`."""
    forget_unused(home)
    number = next_number(home)
    addresses = look_up(loaded, home) if addresses is None else addresses
    around = survey(loaded, home, engine, number, addresses)
    # The very ones whose marks are rendered: their files may change between two looks.
    publish_passwords(home, around.passwords, worker_user(loaded.config, home))
    files = joined(render(loaded.config, around), by_hand(home))
    return keep(home, number, files, loaded, engine, of, addresses)


def test_elsewhere(loaded: LoadedConfig, engine: Engine, folder: Path) -> list[str]:
    """Have nginx test the configuration in a scratch folder, with no DNS; returns what to note.

    Raises EngineError if nginx refuses the files. A port that only root may open is noted: the
    files are right, it is this user who cannot start them.
    """
    refuse_wrong_files(loaded)
    home = Home(folder)
    prepare_home(home, worker_user(loaded.config, home))
    write(rendered(loaded, home, engine, 0, {}), home.revisions / "0")
    try:
        with tested(engine, home.revisions / "0", home):
            refuse_findings(home.revisions / "0", loaded.config)
    except EngineError as problem:
        denied = re.findall(r"bind\(\) to (\S+) failed \(13: ", problem.what)
        if "syntax is ok" not in problem.what or not denied:
            raise
        return [
            f"you may not listen on {address}: start as root, or choose a port above 1023"
            for address in denied
        ]
    return []


@contextlib.contextmanager
def tested(engine: Engine, folder: Path, home: Home) -> Iterator[None]:
    """Ask nginx whether the rendered files below folder are a configuration, on another core than
    what is done meanwhile.

    Raises EngineError with nginx's words if they are not, once that is done.
    """
    configuration = str(folder / "nginx.conf")
    command = engine.command("-t", "-p", str(home.root), "-c", configuration, "-e", "stderr")
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield
            _, words = process.communicate(timeout=_TEST_TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise EngineError(
            "nginx refuses the configuration:\n  " + words.strip().replace("\n", "\n  "),
            where=str(folder),
        )


def apply(loaded: LoadedConfig, home: Home, engine: Engine) -> Revision:
    """Activate the configuration in the nginx that runs, without dropping a stream.

    Raises EngineError if nginx refuses the files: nothing has changed then. Raises ApplyError if
    nginx did not come up with them: the previous revision is active again.
    """
    with locked(apply_lock(home)):
        return _stage_and_go_live(loaded, home, engine)


def _stage_and_go_live(loaded: LoadedConfig, home: Home, engine: Engine) -> Revision:
    revision = stage(loaded, home, engine)
    go_live(home, revision)
    with contextlib.suppress(StateError):  # all is done: to settle it once more does no harm
        finish(home)
    return revision


def apply_again(loaded: LoadedConfig, home: Home, engine: Engine) -> Revision:
    """The same for the active configuration, whose certificates or addresses have changed.

    Raises what `apply` does, and ApplyError if another one took effect meanwhile.
    """
    with locked(apply_lock(home)):
        now = current(home)
        if now is not None and now.text != loaded.text:
            raise ApplyError("another configuration took effect meanwhile", where=str(now.path))
        return _stage_and_go_live(loaded, home, engine)


def apply_lock(home: Home) -> Path:
    """Held by who makes revisions and reloads nginx."""
    return home.run / "apply.lock"


def change_lock(home: Home) -> Path:
    """Held by who changes the configuration, from the first look until it has proved itself."""
    return home.run / "change.lock"


def go_live(home: Home, revision: Revision) -> None:
    """Switch to a revision and reload nginx; back again if it does not come up with it.

    What is to follow is the caller's, and then to say that all is done (unfinished.finish).
    Raises ApplyError if it does not, and StateError if nothing could be begun; nothing is left of
    the revision then.
    """
    previous = current(home)
    try:
        begin(home, Unfinished(previous.number if previous else revision.number, reload=True))
        switch(home, revision)
    except StateError:
        with contextlib.suppress(StateError):
            finish(home)
        forget(revision)
        raise
    problem = reloaded(home, revision)
    if problem is not None:
        with contextlib.suppress(StateError):  # the disk is full
            mark_failed(revision, problem)
        again = ""
        with contextlib.suppress(StateError):  # the disk: it is settled when that can be written
            if previous is not None:
                switch(home, previous)
                reload_nginx(home)
                again = f"; revision {previous.number} is active again"
            finish(home)
        raise ApplyError(
            f"the new configuration did not take effect ({problem}){again}",
            where=str(home.logs / "error.log"),
            hint=error_log_tail(home),
        )
    with contextlib.suppress(StateError):  # then whoever has to settle it goes back
        begin(home, Unfinished(revision.number, reload=True))
    wait_until_closed(home)
    forget_old(home)
