"""backend drain, undrain."""

from __future__ import annotations

import difflib

import typer

from infergate.cli.options import ConfigOption, load
from infergate.errors import UserError

app = typer.Typer(help="Take a backend out of service, and back in.", no_args_is_help=True)


def _set(name: str, config: ConfigOption, *, drained: bool) -> None:
    from infergate.state.publish import drain as publish_drain
    from infergate.store.database import database_for

    loaded, home = load(config, quiet=True)
    if name not in loaded.config.backends:
        close = difflib.get_close_matches(name, loaded.config.backends, n=1)
        raise UserError(
            f"there is no backend {name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
            where=str(loaded.path),
        )
    publish_drain(home, database_for(loaded.config, home), name, drained=drained)


@app.command()
def drain(name: str, config: ConfigOption = None) -> None:
    """No new requests for it; those it has go on."""
    _set(name, config, drained=True)
    print(f"{name} gets no new requests. `infergate backend undrain {name}` takes it back in.")


@app.command()
def undrain(name: str, config: ConfigOption = None) -> None:
    """Take it back into service."""
    _set(name, config, drained=False)
    print(f"{name} is in service again.")
