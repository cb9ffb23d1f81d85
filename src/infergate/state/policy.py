"""What an API key may do, and the one string that njs reads it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from infergate.config.policies import USUAL_TERMS, KeyTerms, Priority

ANY_MODEL = "*"
ANONYMOUS = "anonymous"
"""Takes the place of a key's hash for requests without one, where no key is required."""

PRIORITY_CLASS: Mapping[Priority, int] = MappingProxyType({"high": 0, "normal": 1, "low": 2})
"""A class of the queue as a number, the first one served first; vLLM's `priority` counts so too."""


@dataclass(frozen=True)
class Policy:
    """What one key may do.

    key: the key's public name, as the access log shows it.
    models: names or aliases it may use, with `*` for any characters; ("*",) is every one.
    manage: may pull, push, create, copy and delete models on Ollama.
    expires_at: seconds since the epoch; None is never.
    terms: how much it may ask for, how soon it is served, from where it may come.
    """

    key: str
    models: tuple[str, ...] = (ANY_MODEL,)
    manage: bool = False
    expires_at: int | None = None
    terms: KeyTerms = USUAL_TERMS

    def compiled(self) -> str:
        """The lines that njs/policy.js and njs/admit.js read.

        flags · name · expiry · models, a tab before and after each · limits · networks. The flags
        say which of the later lines a request has to look at: most need none.
        """
        expiry = "" if self.expires_at is None else str(self.expires_at)
        terms, limits = self.terms, self.terms.limits
        numbers = (
            limits.requests_per_minute,
            limits.tokens_per_minute,
            limits.concurrent,
            limits.max_prompt_bytes,
            limits.max_tokens,
        )
        place = (PRIORITY_CLASS[terms.priority], terms.weight)
        flags = "".join(
            flag
            for flag, raised in (
                ("e", self.expires_at is not None),
                ("m", self.manage),
                ("x", terms.explain),
                ("l", any(numbers)),
                ("q", place != (1, 1)),
                ("i", bool(terms.allow)),
                ("g", any("*" in model and model != ANY_MODEL for model in self.models)),
            )
            if raised
        )
        return "\n".join(
            [
                flags,
                self.key,
                expiry,
                "\t" + "\t".join(self.models) + "\t",
                ",".join(str(number or 0) for number in (*numbers, *place)),
                " ".join(terms.allow),
            ]
        )
