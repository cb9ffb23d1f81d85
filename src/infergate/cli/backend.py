"""backend list, drain, undrain, weight, add, remove, reset."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli import complete
from infergate.cli.options import ConfigOption, JsonOption, counted
from infergate.cli.target import filled, target
from infergate.errors import InfergateError

if TYPE_CHECKING:
    from infergate.cli.target import CommandTarget

app = typer.Typer(
    help="Backends: list, drain, weigh, add, remove them.",
    no_args_is_help=True,
)

_POLL_S = 0.2
NameArgument = Annotated[
    str, typer.Argument(help="The backend's name.", autocompletion=complete.backends)
]


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show every backend, its weight, and who says that it is there."""
    from infergate.admin import backends
    from infergate.cli.backend_table import print_backends

    pages = list(target(config).pages(backends.list_backends))
    items = [each.model_dump() for page in pages for each in page.items]
    found = {
        "backends": {each.pop("name"): each for each in items},
        **pages[0].model_dump(include={"removed", "groups"}),
    }
    print(json.dumps(found)) if json_ else print_backends(found)


@app.command()
def drain(name: NameArgument, config: ConfigOption = None) -> None:
    """No new requests for it; those it has go on."""
    from infergate.admin import backends

    target(config).run(backends.drain_backend, name)
    print(f"{name} gets no new requests. `infergate backend undrain {name}` takes it back in.")


@app.command()
def undrain(name: NameArgument, config: ConfigOption = None) -> None:
    """Take it back into service."""
    from infergate.admin import backends

    target(config).run(backends.undrain_backend, name)
    print(f"{name} is in service again.")


@app.command()
def weight(
    name: NameArgument,
    weight: Annotated[int, typer.Argument(help="Its share relative to the others, 1 to 1,000.")],
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Give it another share of the requests."""
    from infergate.admin import backends

    body = filled(backends.Weight, weight=weight)
    done = target(config).run(backends.weigh_backend, name, body)
    if json_:
        print(json.dumps(done.model_dump()))
        return
    print(f"{name} has weight {weight} now (before: {done.before}).")
    if done.of_file is not None and done.of_file["weight"] != weight:
        print(
            f"That holds until the configuration says another weight than "
            f"{done.of_file['weight']},\nor: infergate backend reset {name}"
        )


@app.command()
def add(
    name: NameArgument,
    url: Annotated[str, typer.Argument(help="Its base URL.")],
    engine: Annotated[str | None, typer.Option(help="What runs there; else it is asked.")] = None,
    models: Annotated[
        str | None,
        typer.Option(help="The models it has, separated by commas; else it is asked."),
    ] = None,
    weight: Annotated[int | None, typer.Option(help="Its share of the requests.")] = None,
    max_in_flight: Annotated[int | None, typer.Option(help="Requests at once, at most.")] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Put a new backend into service.

    It serves every model it has that the gateway serves.
    """
    from infergate.admin import backends

    names = None if models is None else [each.strip() for each in models.split(",") if each.strip()]
    given = {
        "url": url,
        "engine": engine,
        "models": names,
        "weight": weight,
        "max_in_flight": max_in_flight,
    }
    given = {field: value for field, value in given.items() if value is not None}
    body = filled(backends.NewBackend, **given)
    done = target(config).run(backends.add_backend, name, body)
    if json_:
        print(json.dumps(done.model_dump()))
        return
    print(f"{name} is there, and gets requests as soon as it was found to be up.")
    print("It stays over restarts; to keep it permanently, write it into the configuration.")


@app.command()
def remove(
    name: NameArgument,
    drain: Annotated[
        bool, typer.Option("--drain", help="Wait until it has finished what it has.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="How long --drain waits.")] = "10m",
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Take it out permanently; what it is answering goes on."""
    from infergate.admin import backends
    from infergate.cli.options import seconds_of

    gateway, timeout_s = target(config), seconds_of(timeout, "--timeout")
    done = gateway.run(backends.remove_backend, name)
    left = done.in_flight
    if drain:
        left = _wait_until_idle(gateway, name, timeout_s, quiet=json_)
    if json_:
        print(json.dumps({**done.model_dump(), "in_flight": left}))
        return
    print(
        f"{name} is out; it finishes the {counted(left, 'request')} it has."
        if left
        else f"{name} is out."
    )
    if done.until_reset:
        print(
            "The configuration or discovery still names it: take it out there too.\n"
            f"`infergate backend reset {name}` brings it back, and so does a change there."
        )


@app.command()
def reset(name: NameArgument, config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Undo what was changed of it by hand.

    It is again what the configuration says.
    """
    from infergate.admin import backends

    done = target(config).run(backends.reset_backend, name)
    if json_:
        print(json.dumps(done.model_dump()))
    elif "add" in done.undone:
        print(f"{name} is out: it had been added by hand, and no configuration names it.")
    elif done.undone:
        print(f"{name} is what the configuration says again (undone: {', '.join(done.undone)}).")
    else:
        print(f"Nothing of {name} was changed.")


def _wait_until_idle(gateway: CommandTarget, name: str, timeout_s: float, *, quiet: bool) -> int:
    from infergate.admin.backends import in_flight

    deadline, told = time.monotonic() + timeout_s, -1
    while (left := gateway.run(in_flight).backends.get(name, 0)) > 0:
        if time.monotonic() > deadline:
            raise InfergateError(
                f"{name} still answers {counted(left, 'request')} after {timeout_s:g} s",
                hint="It gets no new ones; those go on.",
            )
        if left != told and not quiet:
            print(f"{name} still answers {counted(left, 'request')} …", flush=True)
            told = left
        time.sleep(_POLL_S)
    return 0
