"""What an API key may do, and the one string that njs reads it from."""

from __future__ import annotations

from dataclasses import dataclass

ANY_MODEL = "*"
ANONYMOUS = "anonymous"
"""Takes the place of a key's hash for requests without one, where no key is required."""


@dataclass(frozen=True)
class Policy:
    """What one key may do.

    key: the key's public name, as the access log shows it.
    models: names or aliases it may use; ("*",) is every one.
    manage: may pull, push, create, copy and delete models on Ollama.
    expires_at: seconds since the epoch; None is never.
    """

    key: str
    models: tuple[str, ...] = (ANY_MODEL,)
    manage: bool = False
    expires_at: int | None = None

    def compiled(self) -> str:
        """The lines that njs/policy.js and njs/admit.js read: name, expiry, flags, models.

        A tab stands before and after each model: no name has one, so one look-up is exact.
        """
        expiry = "" if self.expires_at is None else str(self.expires_at)
        models = "\t" + "\t".join(self.models) + "\t"
        return "\n".join([self.key, expiry, "m" if self.manage else "", models])
