"""One thing that can be asked of a gateway or done to it, and how HTTP names it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from infergate.admin.gateway import Gateway
from infergate.config.base import Section
from infergate.store.names import NAME_PATTERN

P = ParamSpec("P")
R = TypeVar("R")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

LONGEST_PAGE = 1000
LARGEST = 2**53 - 1
"""JSON's largest whole number that every program reads as it is (RFC 8259, section 6)."""


class Document(BaseModel):
    """What an operation answers."""

    model_config = ConfigDict(frozen=True)


def _whole_numbers(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: int(each) if isinstance(each, float) and each.is_integer() else each
        for name, each in value.items()
    }


class AsJson(BaseModel):
    """Read as JSON means it: a number is never a text or a truth value, and 1.0 is 1."""

    model_config = ConfigDict(strict=True)
    _numbers = model_validator(mode="before")(_whole_numbers)


class Request(AsJson, Section):
    """What an operation is given, as the body of a request; an unknown name in it is an error."""


Limit = Annotated[int, Field(ge=1, le=LONGEST_PAGE, description="Entries in one answer.")]
After = Annotated[
    int, Field(ge=0, le=LARGEST, description="The last answer's `next`; 0 for the first.")
]
AfterName = Annotated[
    str, Field(max_length=256, description="The last answer's `next`; empty for the first.")
]
Moment = Annotated[int, Field(ge=0, le=LARGEST, description="Unix seconds.")]
ThingName = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})]
"""A name to give; the store refuses one that is none (store/names.py), in its own words."""
Which = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
"""A name or an id of something that is there."""


@dataclass(frozen=True)
class Operation(Generic[P, R]):
    """A function of a gateway. GET asks; every other method changes something.

    path: with the names of the function's parameters; a parameter `body` is the request's body, the
    others are in the query.
    """

    method: Method
    path: str
    function: Callable[Concatenate[Gateway, P], R]

    def __call__(self, gateway: Gateway, *arguments: P.args, **named: P.kwargs) -> R:
        return self.function(gateway, *arguments, **named)

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The parameters other than `gateway`."""
        found = inspect.signature(self.function, eval_str=True).parameters.values()
        return tuple(found)[1:]

    @cached_property
    def answer(self) -> type[R]:
        """The class of what it returns."""
        found: type[R] = inspect.signature(self.function, eval_str=True).return_annotation
        return found

    def bound(self, *arguments: Any, **named: Any) -> Mapping[str, Any]:
        """The arguments of a call by their names, those only that were given."""
        return inspect.Signature(self.parameters).bind(*arguments, **named).arguments


def operation(
    method: Method, path: str
) -> Callable[[Callable[Concatenate[Gateway, P], R]], Operation[P, R]]:
    """Declare a function as an operation, below /v1."""

    def declared(function: Callable[Concatenate[Gateway, P], R]) -> Operation[P, R]:
        return Operation(method, f"/v1{path}", function)

    return declared
