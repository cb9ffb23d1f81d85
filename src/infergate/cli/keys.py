"""keys create, set, list, show, rotate, revoke, import, export."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.cli.grants import UnsetOption, grant_of, unset_fields, with_grant
from infergate.cli.options import ConfigOption, JsonOption, counted, load, seconds_of
from infergate.errors import KeyInputError

if TYPE_CHECKING:
    from infergate.store.key_changes import NewKey

app = typer.Typer(
    help="API keys: create, set, list, show, rotate, revoke, import, export.",
    no_args_is_help=True,
)

KeyArgument = Annotated[str, typer.Argument(help="Its id or its name.")]


@app.command()
@with_grant
def create(
    name: str,
    team: Annotated[str | None, typer.Option(help="The team it belongs to.")] = None,
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
    from infergate.state.publish import publish_keys
    from infergate.store.database import database_for
    from infergate.store.key_changes import create_key

    loaded, home = load(config, quiet=json_)
    database = database_for(loaded.config, home)
    key = create_key(
        database,
        name,
        allowed=grant_of(allowed, loaded.config.usage.currency),
        team=team,
        policy=policy,
        expires_at=_end_of(expires),
    )
    publish_keys(home, loaded, database)
    _show_secret(key, f"Key {name!r} ({key.stored.id}) is valid now.", json_=json_)


def _show_secret(key: NewKey, said: str, *, json_: bool) -> None:
    if json_:
        print(json.dumps({"key": key.secret, **key.stored.public()}))
        return
    print(key.secret)
    typer.echo(f"{said} It is not shown again.", err=True)


def _end_of(expires: str | None) -> int | None:
    return None if expires is None else int(time.time() + seconds_of(expires, "--expires"))


@app.command("set")
@with_grant
def set_(
    key: KeyArgument,
    team: Annotated[str | None, typer.Option(help="The team it belongs to from now on.")] = None,
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
    from infergate.state.publish import publish_keys
    from infergate.store.database import database_for
    from infergate.store.key_changes import set_key

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    changed = set_key(
        database,
        key,
        grant_of(allowed, loaded.config.usage.currency),
        unset_fields(unset, {"team": "team", "policy": "policy", "expires": "expires_at"}),
        team=team,
        policy=policy,
        expires_at=_end_of(expires),
    )
    publish_keys(home, loaded, database)
    if json_:
        print(json.dumps(changed.public()))
    else:
        print(f"Key {changed.name!r} ({changed.id}) is changed; `infergate keys show` tells all.")


@app.command("list")
def list_(
    revoked: Annotated[bool, typer.Option("--revoked", help="Those too that are revoked.")] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the keys; never their secrets."""
    from infergate.cli.key_table import print_keys
    from infergate.state.publish import keys_of_file
    from infergate.store.database import database_for
    from infergate.store.keys import all_keys

    loaded, home = load(config, quiet=True)
    stored = all_keys(database_for(loaded.config, home))
    if not revoked:
        stored = tuple(key for key in stored if key.revoked_at is None)
    if json_:
        print(json.dumps([key.public() for key in stored]))
    else:
        print_keys(stored, loaded.config.auth.keys, keys_of_file(loaded))


@app.command()
def show(key: KeyArgument, config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show one key: what it may do, its secrets' first characters, what is left of its budgets."""
    from infergate.cli.key_table import key_in_full, print_key
    from infergate.store.database import database_for
    from infergate.store.keys import find_key
    from infergate.store.policies import all_policies

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    found = find_key(database, key)
    policy = all_policies(database)[found.policy] if found.policy else None
    document = key_in_full(database, found, policy, time.time())
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
    from infergate.state.publish import publish_keys
    from infergate.store.database import database_for
    from infergate.store.key_changes import rotate_key

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    grace_s = seconds_of(grace, "--grace")
    rotated = rotate_key(database, key, grace_s)
    publish_keys(home, loaded, database)
    ends = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + grace_s))
    said = f"This is the new secret of {rotated.stored.name!r}; the old one ends {ends}."
    _show_secret(rotated, said, json_=json_)


@app.command()
def revoke(key: KeyArgument, config: ConfigOption = None, json_: JsonOption = False) -> None:
    """End a key's validity, from the next request on."""
    from infergate.state.publish import publish_keys
    from infergate.store.database import database_for
    from infergate.store.key_changes import revoke_key

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    revoked = revoke_key(database, key)
    publish_keys(home, loaded, database)
    if json_:
        print(json.dumps(revoked.public()))
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
    from infergate.state.exchange import keys_of_text
    from infergate.state.publish import publish_keys
    from infergate.store.database import database_for
    from infergate.store.key_changes import add_keys

    loaded, home = load(config, quiet=True)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise KeyInputError(f"cannot be read: {problem}", where=str(file)) from None
    keys, in_clear = keys_of_text(text, file.name)
    database = database_for(loaded.config, home)
    added = add_keys(database, keys)
    publish_keys(home, loaded, database)
    if json_:
        print(json.dumps({"found": len(keys), "imported": added}))
        return
    known = f"; {len(keys) - added} were known already" if len(keys) > added else ""
    print(f"{counted(added, 'key')} imported{known}.")
    if in_clear:
        print(f"{file} still has them in clear text: remove it.")


@app.command()
def export(config: ConfigOption = None) -> None:
    """Print the keys with their hashes, for `keys import` at another gateway."""
    from infergate.state.exchange import text_of_keys
    from infergate.store.database import database_for
    from infergate.store.keys import all_keys

    loaded, home = load(config, quiet=True)
    print(text_of_keys(all_keys(database_for(loaded.config, home))))
