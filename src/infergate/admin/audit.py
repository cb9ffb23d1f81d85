"""Who changed what, and when."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import After, Document, Limit, Moment, operation
from infergate.store.audit import entries


class AuditEntry(Document):
    """One change."""

    number: int
    at: int = Field(description="Unix seconds.")
    who: str = Field(description="user@host, or the token of this API.")
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(Document):
    """Changes, the newest first."""

    items: list[AuditEntry]
    next: int | None


@operation("GET", "/audit")
def list_audit(
    gateway: Gateway, *, since: Moment = 0, after: After = 0, limit: Limit = 100
) -> AuditPage:
    """Who changed keys, teams, policies, backends, tokens and the configuration."""
    found = entries(gateway.database, since=since, before=after or None, last=limit + 1)
    page = [AuditEntry.model_validate(each, from_attributes=True) for each in reversed(found)][
        :limit
    ]
    return AuditPage(items=page, next=page[-1].number if len(found) > limit else None)
