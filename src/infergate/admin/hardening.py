"""How hard the gateway is to break into."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, operation
from infergate.engine.choose import choose_engine
from infergate.hardening.audit import audit
from infergate.hardening.check import score, worst_first
from infergate.supervise.instance import running


class HardeningCheck(Document):
    """One thing that was checked."""

    name: str = Field(description="Stable, for scripts, such as tls.listener.")
    severity: Literal["high", "medium", "low"] = Field(description="How bad it is, if it is.")
    outcome: Literal["good", "bad", "unknown"]
    what: str = Field(description="What was found.")
    mend: str = Field(description="What to do about it.")


class Hardening(Document):
    """All checks, the worst first. score: 0 to 100."""

    score: int
    checks: list[HardeningCheck]


@operation("GET", "/hardening")
def harden(gateway: Gateway, *, offline: bool = False) -> Hardening:
    """What an attacker would look at first, and what to do about it. Takes some seconds.

    offline: no backend is asked.
    """
    loaded, home = gateway.loaded, gateway.home
    engine = choose_engine(loaded.config.engine, home.root).engine
    runs = running(home).nginx is not None
    checks = worst_first(audit(loaded, home, engine, runs=runs, asked=not offline))
    return Hardening(score=score(checks), checks=[HardeningCheck(**vars(each)) for each in checks])
