"""Who still asks for models by names that go away."""

from __future__ import annotations

import time
from datetime import date

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import After, Document, Limit, Moment, operation
from infergate.config.deprecated import deprecated_names
from infergate.store.old_names import all_old_names

_MONTH_S = 30 * 86400


class OldNameRow(Document):
    """Requests of one client, with one key, for a model by a name that goes away."""

    name: str
    model: str = Field(
        description="What it stands for; empty where the file does not say any more."
    )
    key: str = Field(description="Empty for callers without one.")
    client: str = Field(description="The beginning of its user-agent, or (others) of very many.")
    calls: int
    first: int = Field(description="Unix seconds.")
    last: int = Field(description="Unix seconds.")
    since: date | None = Field(description="Since when the name is not to be used.")
    sunset: date | None = Field(description="From when it may be gone.")


class OldNamesPage(Document):
    """Who asked last comes first; `next` counts rows."""

    items: list[OldNameRow]
    next: int | None


@operation("GET", "/usage/deprecated")
def old_names(
    gateway: Gateway, *, since: Moment | None = None, after: After = 0, limit: Limit = 100
) -> OldNamesPage:
    """Who asked for models by names that go away, in the last 30 days, if no time is given."""
    begin = int(time.time()) - _MONTH_S if since is None else since
    known = {
        name.lower(): (name, model, said)
        for name, model, said in deprecated_names(gateway.loaded.config)
    }
    rows = []
    for asked, calls in all_old_names(gateway.database, begin):
        name, model, said = known.get(asked.name, (asked.name, "", None))
        rows.append(
            OldNameRow(
                name=name,
                model=model,
                key=asked.key,
                client=asked.client,
                calls=calls.calls,
                first=calls.first_at,
                last=calls.last_at,
                since=said and said.since,
                sunset=said and said.sunset,
            )
        )
    return OldNamesPage(
        items=rows[after : after + limit],
        next=after + limit if len(rows) > after + limit else None,
    )
