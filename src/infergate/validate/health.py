"""Whether everything runs and is reachable, by what the gateway itself knows."""

from __future__ import annotations

import time

from infergate.admin.gateway import Gateway
from infergate.admin.status import status
from infergate.admin.status_document import Status
from infergate.validate.client import asking, good
from infergate.validate.result import Failed, Result, Skipped, checking

SUITE = "health"
_SERVES = ("up", "slow")


def check_health(gateway: Gateway) -> list[Result]:
    """One result for each part."""
    found: list[Result] = []
    said = status(gateway)
    for name in ("supervisor", "nginx", "control"):
        with checking(SUITE, f"process.{name}", found) as verdict:
            pid = getattr(said.processes, name)
            if pid is None:
                raise Failed("does not run; `infergate up` starts it")
            verdict.said = f"process {pid}"
    with checking(SUITE, "gateway.answers", found) as verdict, asking(gateway.loaded.config) as ask:
        good(ask, "GET", "/healthz")
        verdict.said = said.url
    with checking(SUITE, "gateway.configuration", found) as verdict:
        if not said.file_applied:
            raise Failed("the file is not what is active; `infergate plan` shows the difference")
        verdict.said = f"revision {said.revision}"
    _backends(said, found)
    for service in said.services:
        with checking(SUITE, f"service.{service.name}", found) as verdict:
            if service.state != "up":
                raise Failed(f"{service.state} at {service.url}: {service.reason}")
            login = service.login
            if login is not None and login.state != "up":
                raise Failed(f"its login is {login.state} at {login.url}: {login.reason}")
            verdict.said = service.reason
    _certificates(said, found)
    with checking(SUITE, "counting", found):
        if said.ledger is None:
            raise Failed("nothing is counted")
        if said.ledger.problem:
            raise Failed(said.ledger.problem)
    with checking(SUITE, "state", found):
        problems = [f"{each.loop}: {each.problem}" for each in said.failing]
        problems += [f"could not be read: {path}" for path in said.set_aside] + said.conflicts
        if problems:
            raise Failed("; ".join(problems))
    return found


def _backends(said: Status, found: list[Result]) -> None:
    with checking(SUITE, "backends", found):
        if not said.backends:
            raise Failed("none was asked yet")
    for backend in said.backends:
        with checking(SUITE, f"backend.{backend.name}", found) as verdict:
            if backend.drained:
                raise Skipped("an operator drained it")
            if backend.state not in _SERVES:
                raise Failed(f"{backend.state} at {backend.url}: {backend.reason}")
            lacks = [each.model for each in said.missing_models if each.backend == backend.name]
            if lacks:
                raise Failed(f"does not have the model {', '.join(lacks)}")
            verdict.said = f"{backend.state}: {backend.reason}"


def _certificates(said: Status, found: list[Result]) -> None:
    for each in said.certificates:
        with checking(SUITE, f"certificate.{each.site}", found) as verdict:
            if each.problem:
                raise Failed(f"{each.problem} {each.hint}".strip())
            if each.not_after is not None:
                days = (each.not_after - time.time()) / 86400
                if days < 0:
                    raise Failed("has expired")
                verdict.said = f"{each.source}, valid for {days:.0f} days more"
