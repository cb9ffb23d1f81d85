"""bans list, add, remove, fail2ban."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, load, seconds_of
from infergate.cli.rows import print_rows
from infergate.cli.target import filled, target
from infergate.state_folder import HOME_VARIABLE

app = typer.Typer(help="Addresses that are no longer answered.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show who is banned now, since when and why."""
    from infergate.admin.bans import list_bans

    found = target(config).run(list_bans)
    if json_:
        print(json.dumps([each.model_dump() for each in found.items]))
    elif not found.items:
        off = " Offenders are not looked for: bans: off." if found.mode == "off" else ""
        print(f"Nobody is banned.{off}")
    else:
        rows = [
            (each.network, _clock(each.since), _clock(each.until), each.reason)
            for each in found.items
        ]
        print_rows(("network", "since", "until", "why"), rows)


@app.command()
def add(
    network: Annotated[str, typer.Argument(help="An address, or a network: 203.0.113.0/24.")],
    for_: Annotated[
        str | None, typer.Option("--for", help="Such as 1h or 7d; default: bans.duration.")
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Until it is removed.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the list.")] = "by hand",
    config: ConfigOption = None,
) -> None:
    """Answer an address or a network no more, at once."""
    from infergate.admin.bans import NewBan, add_ban

    duration_s = None if for_ is None else seconds_of(for_, "--for")
    body = filled(
        NewBan, network=network, duration_s=duration_s, forever=forever, reason=reason[:256]
    )
    made = target(config).run(add_ban, body)
    print(f"{made.network} is banned until {_clock(made.until)}.")


@app.command()
def remove(
    network: Annotated[str, typer.Argument(help="As `bans list` shows it, or an address.")],
    config: ConfigOption = None,
) -> None:
    """Answer it again."""
    from infergate.admin.bans import remove_ban

    done = target(config).run(remove_ban, network=network)
    print(f"{done.network} is answered again.")


@app.command()
def fail2ban(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder, such as /etc/fail2ban.")],
    nftables: Annotated[
        bool,
        typer.Option("--nftables/--nginx", help="Ban in the kernel (as root), or in nginx."),
    ] = True,
    config: ConfigOption = None,
) -> None:
    """Write filters and jails for fail2ban, with our thresholds."""
    from infergate.bans.fail2ban import Setting, fail2ban_files
    from infergate.bans.judge import protected_networks

    loaded, home = load(config, quiet=True)
    listen = loaded.config.listen
    files = fail2ban_files(
        Setting(
            bans=loaded.config.bans,
            log=str(home.access_log),
            ports=[a.rpartition(":")[2] for a in (listen.http, listen.https) if a],
            never=[str(each) for each in protected_networks(loaded.config)],
            # fail2ban's environment is not ours.
            command=("env", f"{HOME_VARIABLE}={home.root}", sys.executable, "-m", "infergate"),
            config=str(loaded.path),
            nftables=nftables,
        )
    )
    for name, text in files.items():
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    print(f"{counted(len(files), 'file')} in {output}. `fail2ban-client reload` reads them.")
    if loaded.config.bans.mode == "block":
        print("Infergate bans by itself, too (bans: block); one of the two is enough.")


def _clock(at: int | None) -> str:
    return "for ever" if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
