"""engine install."""

from __future__ import annotations

from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, find_config, load_applied, seconds_of
from infergate.state_folder import default_config, home_for

app = typer.Typer(help="The nginx that Infergate runs on.", no_args_is_help=True)


@app.command()
def install(
    config: ConfigOption = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch it again.")] = False,
    waf: Annotated[
        bool, typer.Option("--waf", help="With ModSecurity and the OWASP Core Rule Set.")
    ] = False,
) -> None:
    """Bring Debian 13's signed nginx into the state folder.

    No root is needed; it is about 20 MB.
    """
    from infergate.engine.debian import install_debian_engine
    from infergate.engine.facts import dotted

    home = home_for(find_config(config) or default_config().absolute())
    engine = install_debian_engine(home.root, print, force=force, waf=waf)
    print(
        f"nginx {dotted(engine.nginx_version)} with njs {dotted(engine.njs_version or ())} is "
        "ready; `engine: auto` prefers it from the next start on."
    )


@app.command()
def upgrade(
    window: Annotated[str, typer.Option(help="How long the new one is watched.")] = "10s",
    config: ConfigOption = None,
) -> None:
    """Have the running gateway use the newest nginx, with proof.

    It is fetched where Infergate fetched it, started alongside, takes the sockets over, is watched,
    and rolled back if it fails. No stream is cut.
    """
    from infergate.changes.engine_upgrade import upgrade as upgrade_engine
    from infergate.state.in_force import bring_into_force

    applied, home = load_applied(config)
    loaded = bring_into_force(applied, home)
    done = upgrade_engine(loaded, home, seconds_of(window, "--window"), _say)
    if done.engine == done.before:
        print(f"It runs on the newest already: {done.engine}")
    else:
        print(f"It runs on {done.engine}\n  before: {done.before}")


def _say(line: str) -> None:
    print(line, flush=True)
