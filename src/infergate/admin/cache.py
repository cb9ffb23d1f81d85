"""The answers that are kept to be given again."""

from __future__ import annotations

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, Request, Which, operation
from infergate.config.root import ANY_MODEL
from infergate.errors import NotThere
from infergate.live.purge import FOLDER, purge, purge_service, service_folder, size_bytes
from infergate.live.shared_memory import kept_answers, read


class ModelKept(Document):
    """Of one model."""

    answers: int
    streams: int
    hits: int
    misses: int


class ServiceKept(Document):
    """Of one service."""

    files: int
    bytes: int
    max_bytes: int


class CacheContents(Document):
    """What is kept. bytes, max_bytes: of all models together; not there if no model keeps any."""

    bytes: int | None = None
    max_bytes: int | None = None
    models: dict[str, ModelKept] | None = None
    services: dict[str, ServiceKept]


class Purge(Request):
    """What is forgotten; everything, if nothing is said."""

    model: Which | None = Field(None, description="Only this model's.")
    service: Which | None = Field(None, description="Only this service's.")


class Purged(Document):
    """How many answers will not be given again."""

    answers: int


@operation("GET", "/cache")
def show_cache(gateway: Gateway) -> CacheContents:
    """How many answers are kept, their room and their hits."""
    models, services = _caching(gateway)
    config, home = gateway.loaded.config, gateway.home
    of_services = {}
    for name in services:
        kept = config.services[name].cache
        files, size = size_bytes(service_folder(home, name))
        most = kept.max_size if kept else 0
        of_services[name] = ServiceKept(files=files, bytes=size, max_bytes=most)
    if not models:
        return CacheContents(services=of_services)
    answers, served = kept_answers(home.socket), read(home.socket).kept
    return CacheContents(
        bytes=size_bytes(home.cache / FOLDER)[1],
        max_bytes=config.cache.max_size,
        models={
            name: ModelKept(
                answers=answers.answers.get(name, 0),
                streams=answers.streams.get(name, 0),
                hits=served.get(name, (0, 0))[0],
                misses=served.get(name, (0, 0))[1],
            )
            for name in sorted({*answers.answers, *answers.streams, *served})
        },
        services=of_services,
    )


@operation("POST", "/cache:purge")
def purge_cache(gateway: Gateway, body: Purge = Purge()) -> Purged:  # noqa: B008 - frozen
    """Forget them: from now on, backends and services are asked again."""
    models, services = _caching(gateway)
    config, where = gateway.loaded.config, str(gateway.declared.path)
    model, service = body.model, body.service
    if model is not None and model not in config.models and ANY_MODEL not in models:
        raise NotThere(f"there is no model {model!r}", where=where, hint=", ".join(models))
    if service is not None and service not in services:
        hint = ", ".join(services) or "None has a `cache:` (docs/cache.md)."
        raise NotThere(f"no files of {service!r} are kept", where=where, hint=hint)
    everything = model is None and service is None
    gone = 0
    if model is not None or (everything and models):
        gone += purge(gateway.home, model)
    for name in services:
        if everything or name == service:
            gone += purge_service(gateway.home, name)
    return Purged(answers=gone)


def _caching(gateway: Gateway) -> tuple[list[str], list[str]]:
    """The models and the services whose answers are kept."""
    config = gateway.loaded.config
    models = [name for name, each in config.models.items() if each.cache is not None]
    services = [name for name, each in config.services.items() if each.cache is not None]
    if not models and not services:
        raise NotThere(
            "no model's or service's answers are kept",
            where=str(gateway.declared.path),
            hint="Give one a `cache:` (docs/cache.md).",
        )
    return models, services
