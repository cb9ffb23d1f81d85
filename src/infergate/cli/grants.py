"""The options that say what a key may do: shared by `keys create` and `policies set`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.config.problems import did_you_mean
from infergate.errors import KeyInputError

if TYPE_CHECKING:
    from infergate.admin.model_names import Unknown
    from infergate.config.policies import Grant

_LIMITS = {
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "concurrency": "concurrent",
    "max_prompt_bytes": "max_prompt_bytes",
    "max_tokens": "max_tokens",
}
_LISTS = {
    "models": "models",
    "ip": "allow",
    "deny_ip": "deny",
    "services": "services",
    "guardrails": "guardrails",
}

UnsetOption = Annotated[
    str | None,
    typer.Option(help="Settings that are to end, by their options, such as rpm,budget."),
]


def _options(
    models: Annotated[
        str | None, typer.Option(help="Models it may use, separated by commas; all if not given.")
    ] = None,
    manage: Annotated[
        bool, typer.Option("--manage", help="May pull, create and delete models on Ollama.")
    ] = False,
    rpm: Annotated[int | None, typer.Option(help="Requests per minute.")] = None,
    tpm: Annotated[
        int | None, typer.Option(help="Tokens per minute, of prompts and answers.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests at the same time.")] = None,
    max_prompt_bytes: Annotated[
        str | None, typer.Option(help="Largest request body, such as 64k.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer to ask for.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="What it may use up, such as 10M-tokens/month or 20-EUR/month."),
    ] = None,
    priority: Annotated[
        str | None, typer.Option(help="Class in the queue: high, normal or low.")
    ] = None,
    weight: Annotated[int | None, typer.Option(help="Share among keys of its class.")] = None,
    ip: Annotated[
        str | None, typer.Option(help="Only from these networks, separated by commas.")
    ] = None,
    deny_ip: Annotated[
        str | None, typer.Option(help="Never from these networks, separated by commas.")
    ] = None,
    services: Annotated[
        str | None, typer.Option(help="Services it may use, separated by commas; all if not given.")
    ] = None,
    guardrails: Annotated[
        str | None,
        typer.Option(help="Guardrails its requests pass, separated by commas; none if not given."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Answers say which backend gave them.")
    ] = False,
) -> None:
    """Only its parameters count."""


def with_grant(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options too; what they say comes to it as `allowed`, a dict."""
    ours = inspect.signature(_options, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    def run(**given: Any) -> None:
        allowed = {name: given.pop(name) for name in ours}
        command(**given, allowed=allowed)

    parameters = [each for name, each in own.items() if name != "allowed"]
    parameters += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in ours.values()]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def grant_of(given: dict[str, Any]) -> Grant:
    """What the options allow, with only those set that were given.

    Raises KeyInputError, naming the option that is wrong.
    """
    from pydantic import ValidationError

    from infergate.config.policies import Grant

    values: dict[str, Any] = {"limits": {}}
    for option, value in given.items():
        if value is None or value is False or value == []:
            continue
        if option in _LIMITS:
            values["limits"][_LIMITS[option]] = value
        elif option in _LISTS:
            names = [each.strip() for each in value.split(",")]
            values[_LISTS[option]] = [each for each in names if each]
        else:
            values[option] = value
    if not values["limits"]:
        del values["limits"]
    try:
        return Grant.model_validate(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = next(str(part) for part in reversed(first["loc"]) if isinstance(part, str))
        options = {field: option for option, field in {**_LIMITS, **_LISTS}.items()}
        message = first["msg"].removeprefix("Value error, ")
        raise KeyInputError(
            message, where="--" + options.get(field, field).replace("_", "-")
        ) from None


def unset_fields(names: str | None, also: Mapping[str, str] = MappingProxyType({})) -> set[str]:
    """The settings that an --unset names by their options.

    also: options besides those of a grant, and their settings.
    Raises KeyInputError for a name that is no option.
    """
    options = {name: name for name in inspect.signature(_options).parameters}
    options |= {**_LIMITS, **_LISTS, **also}
    fields = set()
    for name in (each.strip().lstrip("-").replace("-", "_") for each in (names or "").split(",")):
        if name and name not in options:
            known = ", ".join(option.replace("_", "-") for option in options)
            raise KeyInputError(
                f"there is no setting {name!r}{did_you_mean(name, options)}",
                where="--unset",
                hint=f"There are {known}.",
            )
        if name:
            fields.add(options[name])
    return fields


def warn_of_unknown(granted: Unknown) -> None:
    """Of what it names and is not there: the key is good, and that may be misspelt."""
    if granted.unknown_models:
        names = ", ".join(map(repr, granted.unknown_models))
        typer.echo(f"warning: nobody serves {names} now; `infergate status` lists models", err=True)
    if granted.unknown_services:
        names = ", ".join(map(repr, granted.unknown_services))
        typer.echo(f"warning: no service is called {names}", err=True)
    if granted.unknown_guardrails:
        names = ", ".join(map(repr, granted.unknown_guardrails))
        typer.echo(
            f"warning: no guardrail is called {names}: its requests are refused with 503", err=True
        )
