"""Changes of the configuration: what the file would change, activating it, and back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import LARGEST, After, Document, Limit, Request, operation
from infergate.changes import history, plan
from infergate.changes.applied import Applied
from infergate.changes.apply import WINDOW_S, apply
from infergate.changes.history import Past
from infergate.changes.plan import Plan
from infergate.config.load import load_config
from infergate.control.settle import settle_abandoned

Number = Annotated[int, Field(ge=1, le=LARGEST, description="A revision.")]


class Difference(Document):
    """Lines as of `diff -u`, without secrets."""

    lines: list[str]


class Apply(Request):
    """How the file is activated."""

    window_s: float | None = Field(
        WINDOW_S,
        ge=0,
        le=3600,
        description="How long it is watched, and rolled back if it breaks something. null: at "
        "once, whatever the backends say, as `infergate reload`.",
    )


class Back(Request):
    """Which configuration is brought back."""

    back: int = Field(1, ge=1, le=1000, description="How many changes to go back.")
    to: Number | None = Field(None, description="A revision instead.")


class HistoryPage(Document):
    """Moments at which a configuration took effect, the newest first; `next` counts them."""

    items: list[Past]
    next: int | None


@operation("GET", "/plan")
def show_plan(gateway: Gateway) -> Plan:
    """What applying the file at the gateway's machine would change. Touches nothing, but ends what
    somebody began to apply and was killed at."""
    settle_abandoned(gateway.home, gateway.declared.path)
    return plan.plan(load_config(gateway.declared.path), gateway.home)


@operation("GET", "/diff")
def show_diff(
    gateway: Gateway,
    *,
    before: Number | None = None,
    after: Number | None = None,
    nginx: bool = False,
) -> Difference:
    """The lines that differ between what is active and the file, or between two revisions."""
    declared = load_config(gateway.declared.path)
    lines = plan.diff(declared, gateway.home, before=before, after=after, nginx=nginx)
    return Difference(lines=list(lines))


@operation("POST", "/apply")
def apply_file(gateway: Gateway, body: Apply = Apply()) -> Applied:  # noqa: B008 - frozen
    """Activate the file: tested, tried alongside, watched, and rolled back if it fails."""
    declared = load_config(gateway.declared.path)
    return apply(declared, gateway.home, window_s=body.window_s, said=gateway.said)


@operation("POST", "/rollback")
def roll_back(gateway: Gateway, body: Back = Back()) -> Applied:  # noqa: B008
    """Activate an earlier configuration again. The file stays as it is."""
    return history.rollback(
        gateway.declared, gateway.home, back=body.back, to=body.to, said=gateway.said
    )


@operation("GET", "/history")
def list_history(gateway: Gateway, *, after: After = 0, limit: Limit = 100) -> HistoryPage:
    """Which configurations were active, since when, and who activated them."""
    last = after + limit + 1
    found = history.history(gateway.declared, gateway.home, gateway.database, last=last)[::-1]
    page = list(found[after : after + limit])
    return HistoryPage(items=page, next=after + limit if len(found) > after + limit else None)
