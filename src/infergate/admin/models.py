"""Models: the names that clients ask for, and where each leads."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import AfterName, Document, Limit, operation
from infergate.admin.pages import page_of
from infergate.config.models import Model
from infergate.control.report import read_inventories
from infergate.health.model_kind import embeds
from infergate.state.routes import named_models, who_serves


class ModelRoute(Document):
    """A model, and what is configured of it."""

    name: str
    declared: bool = Field(description="In the configuration; else a backend has it, that is all.")
    backends: list[str] = Field(description="That may get its requests, up or not.")
    aliases: list[str]
    fallback: list[str]
    balance: str = Field(description="How one of them is picked.")
    settings: dict[str, Any] = Field(description="What else the configuration says of it.")
    embeds: bool = Field(
        description="It makes vectors rather than text, by its name or engines: a guess."
    )


class ModelPage(Document):
    """Models by name."""

    items: list[ModelRoute]
    next: str | None


_TOLD = {"backends", "aliases", "fallback", "balance"}


@operation("GET", "/models")
def list_models(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> ModelPage:
    """The models that clients may ask for: those of the configuration, and what backends have."""
    config = gateway.loaded.config
    served = who_serves(config, read_inventories(gateway.home.health))
    declared = named_models(config)
    engines = {name: backend.engine for name, backend in config.backends.items()}
    found = [
        _route(
            name,
            each,
            frozenset(engines.get(backend) for backend in each.backends),
            declared=name in declared,
        )
        for name, each in served.items()
    ]
    items, following = page_of(found, lambda model: model.name, after, limit)
    return ModelPage(items=items, next=following)


def _route(
    name: str, model: Model, engines: frozenset[str | None], *, declared: bool
) -> ModelRoute:
    return ModelRoute(
        name=name,
        declared=declared,
        backends=list(model.backends),
        aliases=list(model.aliases),
        fallback=list(model.fallback),
        balance=model.balance,
        settings=model.model_dump(mode="json", exclude_unset=True, exclude=_TOLD),
        embeds=embeds(name, engines),
    )
