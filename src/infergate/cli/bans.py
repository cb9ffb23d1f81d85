"""bans list, add, remove, fail2ban."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, load
from infergate.cli.rows import print_rows
from infergate.errors import UserError
from infergate.paths import HOME_VARIABLE

if TYPE_CHECKING:
    from infergate.bans.judge import Network
    from infergate.config.root import Config
    from infergate.paths import Home
    from infergate.store.database import Database

app = typer.Typer(help="Addresses that are no longer answered.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show who is banned now, since when and why."""
    from infergate.store.bans import active_bans
    from infergate.store.database import database_for

    loaded, home = load(config, quiet=True)
    found = active_bans(database_for(loaded.config, home))
    if json_:
        print(json.dumps([dataclasses.asdict(each) for each in found]))
    elif not found:
        mode = loaded.config.bans.mode
        print("Nobody is banned." + (" Offenders are not looked for: bans: off." * (mode == "off")))
    else:
        rows = [
            (each.network, _clock(each.since), _clock(each.until), each.reason) for each in found
        ]
        print_rows(("network", "since", "until", "why"), rows)


@app.command()
def add(
    network: Annotated[str, typer.Argument(help="An address, or a network: 203.0.113.0/24.")],
    for_: Annotated[
        str | None, typer.Option("--for", help="How long, such as 1h or 7d; bans.duration, if not.")
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Until it is removed.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the list.")] = "by hand",
    config: ConfigOption = None,
) -> None:
    """Answer an address or a network no more, at once."""
    from infergate.bans.judge import protected_networks, protector_of
    from infergate.config.types import seconds
    from infergate.store.bans import ban
    from infergate.store.database import database_for

    loaded, home = load(config, quiet=True)
    whom = _network(network, loaded.config)
    protector = protector_of(whom, protected_networks(loaded.config))
    if protector is not None:
        raise UserError(
            f"{whom} is not banned: {protector} never is",
            where=str(loaded.path),
            hint="Loopback, access.allow, trusted proxies and bans.never are protected.",
        )
    try:
        duration_s = loaded.config.bans.duration if for_ is None else seconds(for_)
    except ValueError as problem:
        raise UserError(str(problem), where="--for") from None
    database = database_for(loaded.config, home)
    made = ban(database, str(whom), duration_s=None if forever else duration_s, reason=reason)
    _enforce(home, database)
    print(f"{whom} is banned until {_clock(made.until)}.")


@app.command()
def remove(
    network: Annotated[str, typer.Argument(help="As `bans list` shows it, or an address.")],
    config: ConfigOption = None,
) -> None:
    """Answer it again."""
    from infergate.store.bans import active_bans, unban
    from infergate.store.database import database_for

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    whom = _network(network, loaded.config)
    if not unban(database, str(whom)):
        around = next(
            (
                each.network
                for each in active_bans(database)
                if _contains(ipaddress.ip_network(each.network), whom)
            ),
            None,
        )
        hint = f"It is in {around}, which is." if around else "`infergate bans list` shows who is."
        raise UserError(f"{whom} is not banned", hint=hint)
    _enforce(home, database)
    print(f"{whom} is answered again.")


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


def _network(text: str, config: Config) -> Network:
    from infergate.bans.judge import network_of

    if "/" not in text:
        found = network_of(text, config.bans.ipv6_prefix)
        if found is not None:
            return found
    try:
        return ipaddress.ip_network(text)
    except ValueError as problem:
        raise UserError(f"{text!r} is not an address or a network: {problem}") from None


def _contains(network: Network, other: Network) -> bool:
    return network.version == other.version and network.overlaps(other)


def _enforce(home: Home, database: Database) -> None:
    from infergate.nginx.bans import enforce
    from infergate.store.bans import active_bans

    enforce(home, [each.network for each in active_bans(database)])


def _clock(at: int | None) -> str:
    return "for ever" if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
