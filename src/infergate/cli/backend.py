"""backend drain, undrain."""

from __future__ import annotations

import typer

from infergate.cli.options import ConfigOption
from infergate.cli.target import target

app = typer.Typer(help="Take a backend out of service, and back in.", no_args_is_help=True)


@app.command()
def drain(name: str, config: ConfigOption = None) -> None:
    """No new requests for it; those it has go on."""
    from infergate.admin import backends

    target(config).run(backends.drain_backend, name)
    print(f"{name} gets no new requests. `infergate backend undrain {name}` takes it back in.")


@app.command()
def undrain(name: str, config: ConfigOption = None) -> None:
    """Take it back into service."""
    from infergate.admin import backends

    target(config).run(backends.undrain_backend, name)
    print(f"{name} is in service again.")
