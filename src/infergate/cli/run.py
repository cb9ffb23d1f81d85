"""up, down: the gateway's life."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import ConfigOption, find_config, load, only_here
from infergate.cli.progress import busy
from infergate.cli.sites import warn_of_sites
from infergate.state_folder import HOME_VARIABLE, ROOTS_FOLDER, default_config, home_for

if TYPE_CHECKING:
    from infergate.paths import Home


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)


def up(
    config: ConfigOption = None,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Return when the gateway answers.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Apply the file whenever it changes.")
    ] = False,
) -> None:
    """Start the gateway: nginx and what keeps it honest."""
    from infergate.backup.swap import finish_exchange
    from infergate.cli.banner import announce
    from infergate.engine.choose import choose_engine
    from infergate.engine.fetch import fetch_if_missing
    from infergate.nginx.waf import wanted
    from infergate.supervise.detached import start_detached
    from infergate.supervise.foreground import become_supervisor
    from infergate.supervise.handed_on import hand_on
    from infergate.supervise.instance import nginx_master, refuse_second

    only_here(config)
    given = find_config(config) if config is not None or default_config().is_file() else None
    home = home_for(given or default_config().absolute())
    if ROOTS_FOLDER in home.root.parents and not os.environ.get(HOME_VARIABLE):
        print(f"State folder: {home.root} (nginx's workers may not enter this one)")
    refuse_second(home)
    if finish_exchange(home):
        print("A restore that had been cut off is finished now.")
    demo_port = None
    if given is None:
        given, demo_port = _without_configuration(home)
    loaded, home = load(given, as_written=True)
    if nginx_master(home) is None:  # one that goes on without a supervisor keeps its engine
        fetch_if_missing(loaded.config.engine, home.root, _say, waf=wanted(loaded.config))
    hand_on(loaded, home)
    wait_until_ready = start_detached(given, home, demo_port, follow=watch) if detach else None
    warn_of_sites(loaded, home)
    choice = choose_engine(loaded.config.engine, home.root)

    def ready() -> None:
        announce(loaded, home, choice.engine, demo=demo_port is not None)

    if wait_until_ready is not None:
        import_module("infergate.store.key_changes")  # for the first key, while there is time
        with busy("starting"):
            wait_until_ready()
        ready()
    else:
        become_supervisor(given, home, demo_port, follow=watch, ready=ready)


def _say(line: str) -> None:
    print(line, flush=True)


def _without_configuration(home: Home) -> tuple[Path, int | None]:
    """Look around, say what was found, and write it down as a configuration."""
    import asyncio  # it is a third of what a command loads

    from infergate.supervise.discover import configuration_for_this_machine

    found = asyncio.run(configuration_for_this_machine(home))
    print(found.explanation)
    return found.path, found.demo_port


def down(
    config: ConfigOption = None,
    now: Annotated[bool, typer.Option("--now", help="Cut open streams.")] = False,
) -> None:
    """Stop the gateway; open streams finish first."""
    from infergate.supervise.stop import stop_gateway

    path = find_config(config)
    home = home_for(path or default_config().absolute())
    stop_gateway(home, now=now)
    print("Infergate is down.")
