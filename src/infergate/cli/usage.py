"""usage: who used how much of what."""

from __future__ import annotations

import csv
import json
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from infergate.cli import complete
from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import target
from infergate.errors import UserError

_FIELDS = ("key", "team", "model", "backend", "minute", "hour", "day")
_FORMATS = ("table", "csv", "json")


def register(app: typer.Typer) -> None:
    app.command()(usage)


def usage(
    by: Annotated[
        str, typer.Option(help=f"What to tell apart, separated by commas: {', '.join(_FIELDS)}.")
    ] = "key,model",
    since: Annotated[
        str, typer.Option(help="From when: 7d, 12h, 2026-11-01 or 2026-11-01T08:00 (UTC).")
    ] = "30d",
    until: Annotated[str, typer.Option(help="To when, likewise; 0s is now.")] = "0s",
    key: complete.OfKey = None,
    team: complete.OfTeam = None,
    model: complete.OfModel = None,
    backend: complete.OfBackend = None,
    format_: Annotated[
        str, typer.Option("--format", help=f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}.")
    ] = "table",
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show requests, tokens and money, by key, model, team or time."""
    from infergate.admin.usage import usage as ask_usage

    fields = [field.strip() for field in by.split(",") if field.strip()]
    for wrong in (field for field in fields if field not in _FIELDS):
        raise UserError(f"{wrong!r} cannot be told apart", where="--by", hint=", ".join(_FIELDS))
    format_ = "json" if json_ else format_
    if format_ not in _FORMATS:
        raise UserError(f"{format_!r} is no format", where="--format", hint=", ".join(_FORMATS))
    now = time.time()
    begin, end = _time(since, now, "--since"), _time(until, now, "--until")
    pages = list(
        target(config).pages(
            ask_usage,
            by=",".join(fields),
            since=max(0, int(begin)),
            until=max(0, int(end)),
            key=key,
            team=team,
            model=model,
            backend=backend,
        )
    )
    rows = [row for page in pages for row in page.items]
    currency, since_s = pages[0].currency, pages[0].since
    if format_ == "json":
        print(json.dumps({"since": since_s, "until": int(end), "currency": currency, "rows": rows}))
    elif format_ == "csv":
        names = list(rows[0]) if rows else fields
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    else:
        _print_table(rows, fields, currency)


def _safe(value: Any) -> Any:
    """Spreadsheets take a text that begins like this for a formula."""
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _time(text: str, now: float, option: str) -> float:
    from infergate.config.types import seconds

    try:
        return now - seconds(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{text!r} is no time", where=option, hint="Such as 7d, 12h, 2026-11-01."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _print_table(rows: list[dict[str, Any]], fields: list[str], currency: str) -> None:
    from infergate.cli.rows import print_rows

    if not rows:
        print("Nothing was used in this time.")
        return
    priced = any(row["cost"] for row in rows)
    numbers = ["requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens"]
    head = [field.upper() for field in fields]
    head += ["REQUESTS", "ERRORS", "PROMPT", "CACHED", "COMPLETION"] + [currency] * priced
    total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in (*numbers, "cost")}
    lines = [
        [str(row.get(field) or "-") for field in fields]
        + [f"{row[name]:,}" for name in numbers]
        + [f"{row['cost']:,.4f}"] * priced
        for row in (*rows, total)
    ]
    if fields:
        lines[-1][0] = "total"
    print_rows(head, lines if len(rows) > 1 else lines[:-1], right_from=len(fields))
