"""Policies: what many keys may do, in one place."""

from __future__ import annotations

from infergate.admin.gateway import Gateway
from infergate.admin.money import check_currency
from infergate.admin.operation import AfterName, Document, Limit, ThingName, Which, operation
from infergate.admin.pages import page_of
from infergate.admin.teams import Removed
from infergate.admin.terms import Terms
from infergate.config.policies import Grant
from infergate.store import policies


class Policy(Document):
    """A policy, with what it says."""

    name: str
    allowed: Grant


class PolicyPage(Document):
    """Policies by name."""

    items: list[Policy]
    next: str | None


@operation("GET", "/policies")
def list_policies(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> PolicyPage:
    """The policies, and what each says."""
    known = policies.all_policies(gateway.database)
    found = [Policy(name=name, allowed=allowed) for name, allowed in known.items()]
    items, following = page_of(found, lambda policy: policy.name, after, limit)
    return PolicyPage(items=items, next=following)


@operation("PUT", "/policies/{policy}")
def set_policy(gateway: Gateway, policy: ThingName, body: Terms) -> Policy:
    """Make a policy, or replace it for every key that has it."""
    allowed = body.grant()
    check_currency(allowed.budget, gateway.loaded)
    policies.set_policy(gateway.database, policy, allowed)
    gateway.publish_keys()
    return Policy(name=policy, allowed=allowed)


@operation("DELETE", "/policies/{policy}")
def remove_policy(gateway: Gateway, policy: Which) -> Removed:
    """Forget a policy that no valid key has."""
    policies.remove_policy(gateway.database, policy)
    return Removed(name=policy)
