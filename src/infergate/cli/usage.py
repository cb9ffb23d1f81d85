"""usage: who used how much of what."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.cli import complete
from infergate.cli.old_names import print_old_names
from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import target
from infergate.errors import UserError

if TYPE_CHECKING:
    from infergate.admin.usage import UsagePage

_FIELDS = ("key", "team", "model", "backend", "minute", "hour", "day")
_FORMATS = ("table", "csv", "json")
_WIDTH = 80


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
    cache: Annotated[
        bool,
        typer.Option(
            "--cache", help="How much of the prompts was in the backends' caches; worst first."
        ),
    ] = False,
    deprecated: Annotated[
        bool,
        typer.Option("--deprecated", help="Who asks for models by names that go away; last first."),
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", help=f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}.")
    ] = "table",
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show requests, tokens and money, by key, model, team or time."""
    from infergate.admin.usage import usage as ask_usage

    if deprecated:
        begin = _time(since, time.time(), "--since")
        print_old_names(target(config), max(0, int(begin)), json_=json_)
        return
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
            cache=cache,
        )
    )
    _print_as(format_, pages, fields, end=int(end), cache=cache)


def _print_as(
    format_: str, pages: Sequence[UsagePage], fields: list[str], *, end: int, cache: bool
) -> None:
    rows = [row for page in pages for row in page.items]
    currency, since_s = pages[0].currency, pages[0].since
    if format_ == "json":
        print(json.dumps({"since": since_s, "until": end, "currency": currency, "rows": rows}))
    elif format_ == "csv":
        names = list(rows[0]) if rows else fields
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    else:
        columns = _cache_columns() if cache else _columns(rows, currency)
        _print_table(rows, fields, columns, at_most=_WIDTH if cache else None)


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


_Columns = Mapping[str, Callable[[Mapping[str, Any]], str]]
"""Head → what a row has there."""


def _columns(rows: Sequence[Mapping[str, Any]], currency: str) -> _Columns:
    columns = {
        "REQUESTS": _number("requests"),
        "ERRORS": _number("errors"),
        "PROMPT": _number("prompt_tokens"),
        "CACHED": _number("cached_tokens"),
        "COMPLETION": _number("completion_tokens"),
    }
    if any(row["cost"] for row in rows):
        columns[currency] = lambda row: f"{row['cost']:,.4f}"
    return columns


def _cache_columns() -> _Columns:
    from infergate.store.report import cached_share

    return {
        "REQUESTS": _number("requests"),
        "PROMPT": _number("prompt_tokens"),
        "CACHED": _number("cached_tokens"),
        "SHARE": lambda row: f"{cached_share(row['prompt_tokens'], row['cached_tokens']):.1%}",
    }


def _number(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: f"{row[name]:,}"


_SUMS = ("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens", "cost")


def _print_table(
    rows: list[dict[str, Any]], fields: list[str], columns: _Columns, *, at_most: int | None
) -> None:
    """The rows and, of several, their sum. at_most: see print_rows."""
    from infergate.cli.rows import print_rows

    if not rows:
        print("Nothing was used in this time.")
        return
    total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in _SUMS}
    lines = [
        [str(row.get(field) or "-") for field in fields] + [cell(row) for cell in columns.values()]
        for row in (*rows, total)
    ]
    if fields:
        lines[-1][0] = "total"
    head = [field.upper() for field in fields] + list(columns)
    shown = lines if len(rows) > 1 else lines[:-1]
    print_rows(head, shown, right_from=len(fields), at_most=at_most)
