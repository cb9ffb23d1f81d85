"""keys create, list, revoke, import."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, load
from infergate.errors import KeyInputError

if TYPE_CHECKING:
    from infergate.config.policies import KeyTerms
    from infergate.store.keys import StoredKey

app = typer.Typer(help="API keys: create, list, revoke, import.", no_args_is_help=True)


def _public(key: StoredKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "models": list(key.models),
        "manage": key.manage,
        **key.terms.model_dump(mode="json", exclude_defaults=True),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


@app.command()
def create(
    name: str,
    models: Annotated[
        str, typer.Option(help="Models it may use, separated by commas; all if not given.")
    ] = "*",
    manage: Annotated[
        bool, typer.Option("--manage", help="May pull, create and delete models on Ollama.")
    ] = False,
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid, such as 12h or 30d.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option("--rpm", help="Requests per minute.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option("--tpm", help="Tokens per minute, of prompts and answers.")
    ] = None,
    concurrent: Annotated[int | None, typer.Option(help="Requests at the same time.")] = None,
    max_prompt_bytes: Annotated[
        str | None, typer.Option(help="Largest request body, such as 64k.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer to ask for.")] = None,
    priority: Annotated[
        str, typer.Option(help="Class in the queue: high, normal or low.")
    ] = "normal",
    weight: Annotated[int, typer.Option(help="Share among keys of its class.")] = 1,
    allow: Annotated[str, typer.Option(help="Only from these networks, separated by commas.")] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Answers say which backend gave them.")
    ] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a key. Its secret is shown this once and kept only as a hash."""
    from infergate.config.types import seconds
    from infergate.state.publish import publish_keys
    from infergate.store.keys import KeyStore

    loaded, home = load(config, quiet=json_)
    try:
        expires_at = None if expires is None else int(time.time() + seconds(expires))
    except ValueError as problem:
        raise KeyInputError(str(problem), where="--expires") from None
    wanted = [model.strip() for model in models.split(",") if model.strip()]
    terms = _terms(
        {
            "limits": {
                "requests_per_minute": requests_per_minute,
                "tokens_per_minute": tokens_per_minute,
                "concurrent": concurrent,
                "max_prompt_bytes": max_prompt_bytes,
                "max_tokens": max_tokens,
            },
            "priority": priority,
            "weight": weight,
            "allow": [network.strip() for network in allow.split(",") if network.strip()],
            "explain": explain,
        }
    )
    key = KeyStore(home.keys_db).create(
        name, models=wanted, manage=manage, expires_at=expires_at, terms=terms
    )
    publish_keys(home, loaded)
    if json_:
        print(json.dumps({"key": key.secret, **_public(key.stored)}))
        return
    print(key.secret)
    typer.echo(f"Key {name!r} ({key.stored.id}) is valid now. It is not shown again.", err=True)


def _terms(given: dict[str, Any]) -> KeyTerms:
    """The options as the configuration would have them. Raises KeyInputError for a wrong one."""
    from pydantic import ValidationError

    from infergate.config.policies import KeyTerms

    given["limits"] = {name: value for name, value in given["limits"].items() if value is not None}
    try:
        return KeyTerms.model_validate(given)
    except ValidationError as problem:
        first = problem.errors()[0]
        names = {"requests_per_minute": "rpm", "tokens_per_minute": "tpm"}
        option = next(str(part) for part in reversed(first["loc"]) if isinstance(part, str))
        message = first["msg"].removeprefix("Value error, ")
        raise KeyInputError(
            message, where="--" + names.get(option, option).replace("_", "-")
        ) from None


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the keys; never their secrets."""
    from rich.console import Console
    from rich.table import Table

    from infergate.state.publish import keys_of_file
    from infergate.store.keys import KeyStore

    loaded, home = load(config, quiet=True)
    stored = KeyStore(home.keys_db).list()
    if json_:
        print(json.dumps([_public(key) for key in stored]))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ID", "NAME", "STARTS WITH", "MODELS", "STATE"):
        table.add_column(column, overflow="fold")
    for key in stored:
        models = ", ".join(key.models) if key.models != ("*",) else "all"
        table.add_row(key.id, key.name, key.prefix or "-", models, _state(key))
    for name in loaded.config.auth.keys:
        table.add_row("-", name, "-", "in the YAML", "valid")
    for file_key in keys_of_file(loaded):
        table.add_row("-", file_key.name, "-", "all", "valid")
    if table.row_count == 0:
        print("There are no keys yet. `infergate keys create NAME` makes one.")
        return
    Console(highlight=False).print(table)


def _state(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return time.strftime("revoked %Y-%m-%d", time.localtime(key.revoked_at))
    if key.expires_at is None:
        return "valid"
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(key.expires_at))
    return f"expired {day}" if key.expires_at < time.time() else f"until {day}"


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its id or its name.")],
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """End a key's validity, from the next request on."""
    from infergate.state.publish import publish_keys
    from infergate.store.keys import KeyStore

    loaded, home = load(config, quiet=True)
    revoked = KeyStore(home.keys_db).revoke(key)
    publish_keys(home, loaded)
    if json_:
        print(json.dumps(_public(revoked)))
    else:
        print(f"Key {revoked.name!r} ({revoked.id}) is revoked.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help='Lines of the form "Bearer <key>" 1;')],
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Take over the keys of a hand-written gateway; only their hashes are kept."""
    from infergate.state.keys import read_keys_file
    from infergate.state.publish import publish_keys
    from infergate.store.keys import KeyStore

    loaded, home = load(config, quiet=True)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise KeyInputError(f"cannot be read: {problem}", where=str(file)) from None
    keys = read_keys_file(text, file.name)
    added = KeyStore(home.keys_db).add_hashes((key.name, key.hash) for key in keys)
    publish_keys(home, loaded)
    if json_:
        print(json.dumps({"found": len(keys), "imported": added}))
        return
    known = f"; {len(keys) - added} were known already" if len(keys) > added else ""
    print(
        f"{counted(added, 'key')} imported{known}. {file} still has them in clear text: remove it."
    )
