"""What the supervisor has to know of a configuration that is ready to be run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Prepared:
    """argv: what starts nginx. admin_listen: the admin API's TCP address, if it has one."""

    argv: tuple[str, ...]
    admin_listen: str | None

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Prepared:
        told = json.loads(text)
        return cls(tuple(told["argv"]), told["admin_listen"])
