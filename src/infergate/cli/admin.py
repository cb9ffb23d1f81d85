"""admin token create, list, revoke."""

from __future__ import annotations

import json
import secrets
import time
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, seconds_of
from infergate.cli.target import filled, target
from infergate.errors import UserError

app = typer.Typer(help="The admin API.", no_args_is_help=True)
token = typer.Typer(help="Tokens that let programs and people use it.", no_args_is_help=True)
app.add_typer(token, name="token")


@token.command()
def create(
    name: Annotated[
        str | None, typer.Argument(help="What the audit log calls it; made up, if not given.")
    ] = None,
    role: Annotated[str, typer.Option(help="read: may ask; full: may change.")] = "read",
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid, such as 12h or 30d.")
    ] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a token. It is shown this once and kept only as a hash."""
    from infergate.admin import tokens

    if role not in ("read", "full"):
        raise UserError(f"{role!r} is no role", where="--role", hint="read or full")
    expires_at = None if expires is None else int(time.time() + seconds_of(expires, "--expires"))
    name = name or f"{role}-{secrets.token_hex(3)}"
    body = filled(tokens.NewToken, name=name, role=role, expires_at=expires_at)
    made = target(config).run(tokens.create_token, body)
    if json_:
        print(json.dumps(made.model_dump()))
        return
    print(made.token)
    said = f"Token {made.name!r} ({made.role}) is valid now. It is not shown again."
    typer.echo(said, err=True)


@token.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the tokens; never their secrets."""
    from infergate.admin import tokens
    from infergate.cli.rows import print_rows

    pages = target(config).pages(tokens.list_tokens)
    found = [each for page in pages for each in page.items]
    if json_:
        print(json.dumps([each.model_dump() for each in found]))
        return
    if not found:
        print("There are no tokens. `infergate admin token create NAME` makes one.")
        return
    rows = [
        (each.name, each.role, each.prefix, _day(each.created_at), _day(each.expires_at))
        for each in found
    ]
    print_rows(("NAME", "ROLE", "STARTS WITH", "MADE", "UNTIL"), rows)


def _day(at: int | None) -> str:
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


@token.command()
def revoke(name: str, config: ConfigOption = None) -> None:
    """End a token's validity, from the next request on."""
    from infergate.admin import tokens

    gone = target(config).run(tokens.revoke_token, name)
    print(f"Token {gone.name!r} is revoked.")
