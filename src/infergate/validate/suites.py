"""The suites by name, each with what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from infergate.admin.gateway import Gateway
from infergate.errors import NotRunning
from infergate.supervise.instance import nginx_master
from infergate.validate import acceptance, health, load, security
from infergate.validate.client import key_for_this
from infergate.validate.load import Load, LoadWanted, check_load
from infergate.validate.result import Result

SUITES = (health.SUITE, security.SUITE, acceptance.SUITE, load.SUITE)


@dataclass(frozen=True)
class Ran:
    """What a suite found. load: the measurement, of the suite that makes one."""

    suite: str
    results: Sequence[Result]
    load: Load | None = None


def run(
    gateway: Gateway,
    suites: Sequence[str],
    *,
    key: str | None,
    wanted: LoadWanted,
    tell: Callable[[Load, float], None],
) -> Iterator[Ran]:
    """Each as soon as it is done. key: what clients are to use; one is made if none is given.

    Raises NotRunning for a gateway that is down, where it is to be asked as a client.
    """
    if nginx_master(gateway.home) is None and suites != (health.SUITE,):
        raise NotRunning("the gateway is not running", hint="`infergate up` starts it.")
    if health.SUITE in suites:
        yield Ran(health.SUITE, health.check_health(gateway))
    if security.SUITE in suites:
        yield Ran(security.SUITE, security.check_security(gateway))
    if not {acceptance.SUITE, load.SUITE}.intersection(suites):
        return
    with key_for_this(gateway, key) as secret:
        if acceptance.SUITE in suites:
            yield Ran(acceptance.SUITE, acceptance.check_acceptance(gateway, secret))
        if load.SUITE in suites:
            results, measured = check_load(gateway, secret, wanted, tell)
            yield Ran(load.SUITE, results, measured)
