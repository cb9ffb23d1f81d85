"""metrics: what Prometheus is told."""

from __future__ import annotations

from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import target

app = typer.Typer(help="Show the numbers that Prometheus is told, and its rules.", no_args_is_help=True)


@app.command()
def show(
    prefix: Annotated[str, typer.Argument(help="How their names begin; all, if not given.")] = "",
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the numbers now, as Prometheus reads them."""
    from infergate.admin.metrics import as_text, metrics

    said = target(config).run(metrics, prefix=prefix)
    print(said.model_dump_json() if json_ else as_text(said), end="\n" if json_ else "")


@app.command()
def rules() -> None:
    """Print the rules and alerts for Prometheus."""
    from importlib import resources

    text = (resources.files("infergate.metrics") / "rules.yml").read_text(encoding="utf-8")
    print(text, end="")
