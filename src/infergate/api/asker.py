"""Whose files and batches are asked for: nginx says it, which has looked at the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from infergate.api.refusal import Refused

_TENANT, _KEY, _ENTRY, _CLIENT = (
    f"x-infergate-{each}" for each in ("tenant", "key", "entry", "client")
)


@dataclass(frozen=True)
class Asker:
    """owner: the tenant of the key's policy: its team's, or its own (state/keys.py). key: its name.
    entry: under which nginx knows it, a hash. client: the address that the request came from."""

    owner: str
    key: str
    entry: str
    client: str


def asker_of(request: Request) -> Asker:
    """nginx sets these headers itself, whatever a client sends. Raises Refused where they are not
    there: then nginx did not ask."""
    told = [request.headers.get(each, "") for each in (_TENANT, _KEY, _ENTRY, _CLIENT)]
    if not all(told):
        raise Refused("Nobody says whose request this is.", status=401, code="invalid_api_key")
    return Asker(*told)


Who = Annotated[Asker, Depends(asker_of)]
"""A parameter of an endpoint."""
