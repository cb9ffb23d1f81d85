"""Policies: what many keys may do, in one place."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.model_names import Unknown, unknown
from infergate.admin.money import check_currency
from infergate.admin.operation import AfterName, Document, Limit, ThingName, Which, operation
from infergate.admin.pages import page_of
from infergate.admin.teams import Removed
from infergate.admin.terms import Setting, Terms
from infergate.config.policies import Grant
from infergate.store import policies


class PolicyEntry(Document):
    """A policy, with what it says."""

    name: str
    allowed: Grant


class ChangedPolicy(PolicyEntry, Unknown):
    """A policy as it is now."""


class PolicyPage(Document):
    """Policies by name."""

    items: list[PolicyEntry]
    next: str | None


@operation("GET", "/policies")
def list_policies(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> PolicyPage:
    """The policies, and what each says."""
    known = policies.all_policies(gateway.database)
    found = [PolicyEntry(name=name, allowed=allowed) for name, allowed in known.items()]
    items, following = page_of(found, lambda policy: policy.name, after, limit)
    return PolicyPage(items=items, next=following)


class PolicyChange(Terms):
    """What is to be different of a policy; what is not said stays as it is."""

    unset: list[Setting] = Field([], description="Settings that are to end.")


@operation("PUT", "/policies/{policy}")
def set_policy(gateway: Gateway, policy: ThingName, body: Terms) -> PolicyEntry:
    """Make a policy, or replace it for every key that has it."""
    given = body.grant()
    said = given.model_fields_set | given.limits.model_fields_set
    return _set(gateway, policy, given, set(get_args(Setting)) - said)


@operation("PATCH", "/policies/{policy}")
def change_policy(gateway: Gateway, policy: ThingName, body: PolicyChange) -> ChangedPolicy:
    """Make a policy, or change it for every key that has it; what is not said stays as it is."""
    return _set(gateway, policy, body.grant(), set(body.unset))


def _set(gateway: Gateway, name: str, given: Grant, unset: Collection[str]) -> ChangedPolicy:
    check_currency(given.budget, gateway.loaded)
    allowed = policies.set_policy(gateway.database, name, given, unset)
    gateway.publish_keys()
    said = unknown(gateway.loaded.config, gateway.home, given)
    return ChangedPolicy(name=name, allowed=allowed, **said)


@operation("DELETE", "/policies/{policy}")
def remove_policy(gateway: Gateway, policy: Which) -> Removed:
    """Forget a policy that no valid key has."""
    policies.remove_policy(gateway.database, policy)
    return Removed(name=policy)
