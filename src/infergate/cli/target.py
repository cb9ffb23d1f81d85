"""Which gateway a command is for: the one of this folder, or another by its admin API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from infergate.cli.options import load, load_applied, remote
from infergate.errors import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from infergate.admin.gateway import Gateway
    from infergate.admin.operation import Operation

P = ParamSpec("P")
R = TypeVar("R")
B = TypeVar("B", bound="BaseModel")

_ALL = 1_000_000_000


class CommandTarget(Protocol):
    """A gateway that operations can be done at."""

    def run(self, operation: Operation[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Do it. Raises InfergateError."""

    def pages(self, operation: Operation[P, R], **named: Any) -> Iterator[R]:
        """All of a list, in one page or several."""


class _Here:
    """The gateway of this machine, whether or not it runs."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def run(self, operation: Operation[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        return operation(self._gateway, *arguments, **named)

    def pages(self, operation: Operation[P, R], **named: Any) -> Iterator[R]:
        run: Any = operation
        yield run(self._gateway, limit=_ALL, **named)


def filled(model: type[B], /, **values: Any) -> B:
    """What an operation is given. Raises UserError for values that cannot be."""
    from pydantic import ValidationError

    try:
        return model.model_validate(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise UserError(first["msg"].removeprefix("Value error, "), where=field) from None


def target(
    config: Path | None,
    *,
    quiet: bool = True,
    said: Callable[[str], None] | None = None,
    broken: bool = False,
) -> CommandTarget:
    """The gateway that --url names, else that of the configuration.

    quiet: without the configuration's warnings. said: is told the steps of what takes long.
    broken: of the file only its place counts, what is in it may be wrong.
    """
    address = remote(config)
    if address is not None:
        from infergate.admin.remote import Remote

        return Remote(address.url, address.token(), address.ca_file)
    from infergate.admin.gateway import Gateway

    if broken:
        return _Here(Gateway(*load_applied(config), said=said))
    return _Here(Gateway(*load(config, quiet=quiet, as_written=True), said=said))
