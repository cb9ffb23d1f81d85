"""engine install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, find_config
from infergate.paths import home_for

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
    from infergate.nginx.debian import install_debian_engine
    from infergate.nginx.engine_facts import dotted

    home = home_for(find_config(config) or Path("infergate.yaml").absolute())
    engine = install_debian_engine(home.root, print, force=force, waf=waf)
    print(
        f"nginx {dotted(engine.nginx_version)} with njs {dotted(engine.njs_version or ())} is "
        "ready; `engine: auto` prefers it from the next start on."
    )
