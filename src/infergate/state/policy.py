"""What an API key may do, and the one string that njs reads it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from infergate.config.policies import EVERYTHING, Grant, Priority
from infergate.contract.policy import PolicyFlag, PolicyLine, PolicyNumber

ANY_MODEL = "*"
ANONYMOUS = "anonymous"
"""Takes the place of a key's hash for requests without one, where no key is required."""

PRIORITY_CLASS: Mapping[Priority, int] = MappingProxyType({"high": 0, "normal": 1, "low": 2})
"""A class of the queue as a number, the first one served first; vLLM's `priority` counts so too."""


@dataclass(frozen=True)
class BudgetBlock:
    """A budget that is used up. what: the budget; until: when it is filled again, Unix seconds."""

    what: str
    until: int


@dataclass(frozen=True)
class Policy:
    """What one key may do.

    key: the key's public name, as the access log shows it.
    allowed: the models it may use, how much it may ask for, from where it may come.
    expires_at: Unix seconds; None is never.
    block: why it may use nothing for now.
    tenant: whom it shares kept answers with (njs/keep.js); nobody, where it is empty.
    held: what it uses is held against a budget or a team, and so has to be counted.
    """

    key: str
    allowed: Grant = EVERYTHING
    expires_at: int | None = None
    block: BudgetBlock | None = None
    tenant: str = ""
    held: bool = False

    def compiled(self) -> str:
        """The lines that njs/policy.js and njs/admit.js read.

        Which these are: contract/policy.py. Those behind the networks are there up to the last that
        says something.
        """
        expiry = "" if self.expires_at is None else str(self.expires_at)
        terms, limits, models = self.allowed, self.allowed.limits, self.allowed.models
        numbers = (
            limits.requests_per_minute,
            limits.tokens_per_minute,
            limits.concurrent,
            limits.max_prompt_bytes,
            limits.max_tokens,
        )
        block = f"{self.block.what}\t{self.block.until}" if self.block else ""
        services = "" if "*" in terms.services else f" {' '.join(terms.services)} "
        place = (PRIORITY_CLASS[terms.priority], terms.weight)
        flags = "".join(
            flag
            for flag, raised in (
                (PolicyFlag.EXPIRES, self.expires_at is not None),
                (PolicyFlag.MANAGES, terms.manage),
                (PolicyFlag.EXPLAINED, terms.explain),
                (PolicyFlag.LIMITED, any(numbers)),
                (PolicyFlag.PLACED, place != (1, 1)),
                (PolicyFlag.NETWORKS, bool(terms.allow or terms.deny)),
                (PolicyFlag.PATTERNS, any("*" in each and each != ANY_MODEL for each in models)),
                (PolicyFlag.BLOCKED, self.block is not None),
                (PolicyFlag.CHOOSY, bool(services)),
                (PolicyFlag.GUARDED, bool(terms.guardrails)),
            )
            if raised
        )
        lines = {
            PolicyLine.FLAGS: flags,
            PolicyLine.NAME: self.key,
            PolicyLine.EXPIRY: expiry,
            PolicyLine.MODELS: "\t" + "\t".join(models) + "\t",
            PolicyLine.NUMBERS: ",".join(str(number or 0) for number in (*numbers, *place)),
            PolicyLine.NETWORKS: " ".join([*terms.allow, *(f"!{each}" for each in terms.deny)]),
            PolicyLine.BLOCK: block,
            PolicyLine.TENANT: self.tenant,
            PolicyLine.SERVICES: services,
            PolicyLine.HELD: "held" * self.held,
            PolicyLine.GUARDRAILS: " ".join(terms.guardrails),
        }
        ordered = [lines[each] for each in PolicyLine]
        while len(ordered) > PolicyLine.BLOCK and not ordered[-1]:
            ordered.pop()
        return "\n".join(ordered)


def policy_of(compiled: str) -> Policy:
    """The policy in what Policy.compiled gave, but for its block. Raises ValueError for anything
    else."""
    lines = compiled.split("\n")
    flags, key, expiry, models, numbers, networks = lines[: PolicyLine.BLOCK]
    tenant, services, held, guards = (*lines[PolicyLine.TENANT :], "", "", "", "")[:4]
    counts = [int(number) for number in numbers.split(",")]
    names = ("requests_per_minute", "tokens_per_minute", "concurrent")
    limits = zip((*names, "max_prompt_bytes", "max_tokens"), counts, strict=False)
    said: dict[str, object] = {
        "limits": {name: number for name, number in limits if number},
        "priority": next(
            n for n, each in PRIORITY_CLASS.items() if each == counts[PolicyNumber.PLACE]
        ),
        "weight": counts[PolicyNumber.WEIGHT],
        "allow": [each for each in networks.split() if each[0] != "!"],
        "deny": [each[1:] for each in networks.split() if each[0] == "!"],
        "services": services.split() if services else ["*"],
        "guardrails": guards.split(),
        "explain": PolicyFlag.EXPLAINED in flags,
        "manage": PolicyFlag.MANAGES in flags,
        "models": models.strip("\t").split("\t"),
    }
    usual = EVERYTHING.model_dump(mode="json")
    grant = Grant.model_validate({n: each for n, each in said.items() if each and each != usual[n]})
    return Policy(key, grant, int(expiry) if expiry else None, tenant=tenant, held=bool(held))


def name_in(compiled: str) -> str:
    """The key's name in what Policy.compiled gave; "" where there is none."""
    return "".join(compiled.split("\n", PolicyLine.NAME + 1)[PolicyLine.NAME : PolicyLine.NAME + 1])
