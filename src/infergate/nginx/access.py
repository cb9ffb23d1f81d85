"""Who may come in, as the templates need it: for the API and for each service."""

from __future__ import annotations

from dataclasses import dataclass

from infergate.config.access import PerIp, Rules
from infergate.config.root import Config
from infergate.config.services import Service

PAGE_BURST = 500
"""A page of n8n or Open WebUI loads up to 300 files at once; so a service with a host name lets at
least so many through before the general rate holds."""


@dataclass(frozen=True)
class Guard:
    """What stands before the API or one service.

    rules_suffix, limits_suffix: of the variables and zones that belong to it; "" is the API's, and
        that of services with nothing of their own.
    """

    rules: Rules
    rules_suffix: str
    per_ip: PerIp | None
    limits_suffix: str


def guard_of_api(config: Config) -> Guard:
    """What holds for the API's server and every path below it."""
    access = config.access
    rules = Rules(**{name: getattr(access, name) for name in Rules.model_fields})
    return Guard(rules, "", config.limits.per_ip, "")


def guard_of_service(config: Config, service: Service, index: int) -> Guard:
    """What holds for one service.

    Below a path of the API, what holds there has been looked at already. Under a host name, what is
    denied adds up, and what is allowed stands in place of the general.
    """
    general, own = guard_of_api(config), service.access
    suffix = f"_{index}"
    if service.path is not None:
        if service.per_ip is None:
            return Guard(own, suffix, general.per_ip, "")
        return Guard(own, suffix, service.per_ip, suffix)
    rules = Rules(
        allow=own.allow or general.rules.allow,
        deny=[*general.rules.deny, *own.deny],
        allow_user_agents=own.allow_user_agents or general.rules.allow_user_agents,
        deny_user_agents=[*general.rules.deny_user_agents, *own.deny_user_agents],
        methods=own.methods or general.rules.methods,
    )
    per_ip = service.per_ip
    if per_ip is None and general.per_ip is not None:
        burst = max(general.per_ip.burst, PAGE_BURST)
        per_ip = general.per_ip.model_copy(update={"burst": burst, "connections": None})
    return Guard(rules, "" if rules == general.rules else suffix, per_ip, suffix)


def distinct(guards: list[Guard]) -> tuple[list[Guard], list[Guard]]:
    """The guards whose rules, and those whose limits, have to be written down."""
    by_rules = {each.rules_suffix: each for each in reversed(guards)}
    by_limits = {each.limits_suffix: each for each in reversed(guards) if each.per_ip}
    return list(reversed(by_rules.values())), list(reversed(by_limits.values()))
