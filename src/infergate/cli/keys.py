"""keys create, set, list, show, rotate, revoke, import, export, restore."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.cli import complete
from infergate.cli.grants import (
    UnsetOption,
    grant_of,
    unset_fields,
    warn_of_unknown,
    with_grant,
)
from infergate.cli.options import (
    ConfigOption,
    JsonOption,
    counted,
    find_config,
    only_here,
    seconds_of,
)
from infergate.cli.target import filled, target
from infergate.errors import KeyInputError, NotThere
from infergate.state_folder import default_config, home_for

if TYPE_CHECKING:
    from infergate.admin.keys import Key, KeySecret

app = typer.Typer(
    help="API keys: create, set, list, rotate, revoke and more.",
    no_args_is_help=True,
)

KeyArgument = Annotated[
    str, typer.Argument(help="Its id or its name.", autocompletion=complete.keys)
]


@app.command()
@with_grant
def create(
    name: str,
    team: Annotated[
        str | None, typer.Option(help="The team it belongs to.", autocompletion=complete.teams)
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="A policy that says what the options leave open.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid, such as 12h or 30d.")
    ] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
    *,
    allowed: dict[str, Any],
) -> None:
    """Make a key. Its secret is shown this once and kept only as a hash."""
    from infergate.admin import keys

    said = grant_of(allowed).model_dump(exclude_unset=True)
    said |= {"name": name, "team": team, "policy": policy, "expires_at": _end_of(expires)}
    key = target(config, quiet=json_).run(keys.create_key, filled(keys.NewKey, **said))
    _show_secret(key, f"Key {name!r} ({key.id}) is valid now.", json_=json_)
    warn_of_unknown(key)


@app.command()
def first(config: ConfigOption = None) -> None:
    """Show the key that the first start made, once, where its log could not."""
    only_here(config)
    home = home_for(find_config(config) or default_config().absolute())
    try:
        secret = home.first_key.read_text()
    except FileNotFoundError:
        raise NotThere(
            "there is none to show: it was shown, or the first start showed it itself",
            where=str(home.first_key),
            hint="`infergate keys create NAME` makes another.",
        ) from None
    home.first_key.unlink()
    print(secret)
    typer.echo("It is valid until you revoke it, and not shown again.", err=True)


def _show_secret(key: KeySecret, said: str, *, json_: bool) -> None:
    if json_:
        print(json.dumps(_shown(key)))
        return
    print(key.key)
    typer.echo(f"{said} It is not shown again.", err=True)


def _shown(key: Key) -> dict[str, Any]:
    return {"id": key.id, "name": key.name, **key.model_dump(mode="json", exclude_unset=True)}


def _end_of(expires: str | None) -> int | None:
    return None if expires is None else int(time.time() + seconds_of(expires, "--expires"))


@app.command("set")
@with_grant
def set_(
    key: KeyArgument,
    team: Annotated[
        str | None,
        typer.Option(help="The team it belongs to from now on.", autocompletion=complete.teams),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="A policy that says what the key itself leaves open.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid from now on, such as 12h or 30d.")
    ] = None,
    unset: UnsetOption = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
    *,
    allowed: dict[str, Any],
) -> None:
    """Change what a key may do; what is not given stays as it is."""
    from infergate.admin import keys

    said = grant_of(allowed).model_dump(exclude_unset=True)
    also = {"team": "team", "policy": "policy", "expires": "expires_at"}
    new = {"team": team, "policy": policy, "expires_at": _end_of(expires)}
    said |= {name: value for name, value in new.items() if value is not None}
    body = filled(keys.KeyChange, **said, unset=sorted(unset_fields(unset, also)))
    changed = target(config).run(keys.set_key, key, body)
    if json_:
        print(json.dumps(_shown(changed)))
    else:
        print(f"Key {changed.name!r} ({changed.id}) is changed; `infergate keys show` tells all.")
    warn_of_unknown(changed)


@app.command("list")
def list_(
    revoked: Annotated[bool, typer.Option("--revoked", help="Those too that are revoked.")] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the keys; never their secrets."""
    from infergate.admin import keys
    from infergate.cli.key_table import print_keys

    pages = list(target(config).pages(keys.list_keys, revoked=revoked))
    found = [key for page in pages for key in page.items]
    if json_:
        print(json.dumps([_shown(key) for key in found]))
    else:
        print_keys(found, pages[0].declared, pages[0].in_keys_file)


@app.command()
def show(key: KeyArgument, config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show one key: what it may do, and what is left of its budgets."""
    from infergate.admin import keys
    from infergate.cli.key_table import print_key

    document = _shown(target(config).run(keys.show_key, key))
    if json_:
        print(json.dumps(document))
    else:
        print_key(document)


@app.command()
def rotate(
    key: KeyArgument,
    grace: Annotated[str, typer.Option(help="How long the old secret stays valid.")] = "24h",
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Give a key a new secret; the old one stays valid for a while."""
    from infergate.admin import keys

    grace_s = int(seconds_of(grace, "--grace"))
    rotated = target(config).run(keys.rotate_key, key, filled(keys.Rotation, grace_s=grace_s))
    ends = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + grace_s))
    said = f"This is the new secret of {rotated.name!r}; the old one ends {ends}."
    _show_secret(rotated, said, json_=json_)


@app.command()
def revoke(key: KeyArgument, config: ConfigOption = None, json_: JsonOption = False) -> None:
    """End a key's validity, from the next request on."""
    from infergate.admin import keys

    revoked = target(config).run(keys.revoke_key, key)
    if json_:
        print(json.dumps(_shown(revoked)))
    else:
        print(f"Key {revoked.name!r} ({revoked.id}) is revoked.")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help='What `keys export` wrote, or lines "Bearer <key>" 1;')
    ],
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Take over the keys of another gateway; only their hashes are kept."""
    from infergate.admin import keys

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise KeyInputError(f"cannot be read: {problem}", where=str(file)) from None
    done = target(config).run(keys.import_keys, filled(keys.KeyImport, text=text, file=file.name))
    if json_:
        print(json.dumps({"found": done.found, "imported": done.imported}))
        return
    known = f"; {done.found - done.imported} were known already"
    print(f"{counted(done.imported, 'key')} imported{known * (done.found > done.imported)}.")
    if done.in_clear:
        print(f"{file} still has them in clear text: remove it.")


@app.command()
def export(config: ConfigOption = None) -> None:
    """Print the keys with their hashes, for `keys import`."""
    from infergate.admin import keys

    print(target(config).run(keys.export_keys).text)


@app.command()
def restore(config: ConfigOption = None) -> None:
    """Make the keys valid again that were so last, where the database is gone."""
    from infergate.cli.options import load, only_here
    from infergate.state.publish import publish_keys
    from infergate.state.restore import restore_keys
    from infergate.store.database import database_for

    only_here(config)
    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home, anew=True)
    done = restore_keys(home, loaded, database)
    publish_keys(home, loaded, database)
    print(f"{counted(done.keys, 'key')} restored, without budgets and policies' names.")
    if done.revoked:
        print(f"Revoked, because they were valid no more: {', '.join(done.revoked)}.")
