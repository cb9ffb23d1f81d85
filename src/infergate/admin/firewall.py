"""What the firewall found."""

from __future__ import annotations

import contextlib
from dataclasses import asdict

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, Limit, operation
from infergate.nginx.waf import wanted
from infergate.waf.report import sums


class FirewallRule(Document):
    """A rule that matched in one part of requests."""

    rule: str
    message: str
    where: str = Field(description="The part of the request, such as ARGS:q; empty if not told.")
    requests: int
    attacks: int = Field(description="Those that reached waf.threshold.")
    path: str = Field(description="Of the last one.")
    id: str = Field(description="Of the last one, as in the access log.")


class FirewallStatus(Document):
    """Rules that matched, the most frequent first."""

    on: bool = Field(description="Whether there is a firewall at all.")
    items: list[FirewallRule]


@operation("GET", "/firewall")
def firewall(gateway: Gateway, *, limit: Limit = 100) -> FirewallStatus:
    """Which rules of the firewall matched."""
    text = ""
    with contextlib.suppress(FileNotFoundError):
        text = gateway.home.waf_log.read_text(errors="replace")
    found = sums(text.split("\n"))[:limit]
    return FirewallStatus(
        on=bool(wanted(gateway.loaded.config)),
        items=[FirewallRule(**asdict(each)) for each in found],
    )
