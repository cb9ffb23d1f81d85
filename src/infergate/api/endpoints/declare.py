"""The decorator that makes a function an endpoint, and what it says of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PATH = re.compile(r"/[A-Za-z0-9/_.~{}:-]{0,200}")
_LONGEST_S = 3600.0
LOAD_S = 20.0
"""How long a file may take to be loaded."""
ALIVE = "/.infergate/alive"
"""What the manager asks a file's process to see whether anything still moves there."""

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Declared:
    """One endpoint. timeout_s: for all of an answer. at_once: requests at the same time.

    anyone: without a key, too, which only a GET can be. keys: names of the keys that may ask, `*`
    standing for any letters; empty: every valid one. errors: makes the body of an error of status,
    message and path; None: OpenAI's.
    """

    method: str
    path: str
    timeout_s: float
    at_once: int
    anyone: bool
    keys: tuple[str, ...]
    function: Callable[..., Any] = field(compare=False, repr=False)
    errors: Callable[[int, Any, str], Any] | None = field(default=None, compare=False, repr=False)


declared: list[Declared] = []
"""Of this process, which is for one file (host.py)."""


def endpoint(
    method: Method,
    path: str,
    *,
    timeout: float = 60.0,
    at_once: int = 100,
    anyone: bool = False,
    keys: Collection[str] = (),
    errors: Callable[[int, Any, str], Any] | None = None,
) -> Callable[[Function], Function]:
    """Make the function below an endpoint. Its parameters and what it returns are as FastAPI has
    them: Pydantic models, parts of the path, of the query; `call: Call` is who asks.

    timeout: seconds for the whole answer, a stream too; then the process of the file is replaced.
    at_once: requests at the same time; one more is 429.
    anyone: callers without a key, too; GET only.
    keys: names of the keys that may ask, such as "team-a-*"; all, if none is named.
    errors: makes the body of an error, from its status, its message and the path.
    Raises ValueError for what cannot be one.
    """
    if method not in _METHODS:
        raise ValueError(f"the method is one of {', '.join(_METHODS)}, not {method!r}")
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is not a path like /v1/rag/query or /v1/models/{{id}}/warm")
    if not 0 < timeout <= _LONGEST_S:
        raise ValueError(f"timeout is more than 0 and at most {_LONGEST_S:.0f} seconds")
    if at_once < 1:
        raise ValueError("at_once is at least 1")
    if anyone and (method != "GET" or keys):
        raise ValueError("only a GET can be for anyone, and then for all")

    def remember(function: Function) -> Function:
        declared.append(
            Declared(method, path, timeout, at_once, anyone, tuple(keys), function, errors)
        )
        return function

    return remember
