"""metrics: what Prometheus is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import target

app = typer.Typer(
    help="Show what Prometheus is told; write its rules and Grafana's dashboards.",
    no_args_is_help=True,
)


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
    from infergate.metrics.shipped import rules as shipped

    print(shipped(), end="")


@app.command()
def dashboards(
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder they are written to.")],
) -> None:
    """Write the dashboards for Grafana, as JSON."""
    from infergate.metrics.shipped import dashboards as shipped

    out.mkdir(parents=True, exist_ok=True)
    for name, text in shipped():
        (out / name).write_text(text, encoding="utf-8")
        print(out / name)
