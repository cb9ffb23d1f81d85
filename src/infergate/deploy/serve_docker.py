"""Engines as containers: a compose file with one for each model, started before the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from infergate.config.serve import Served, starts_after
from infergate.deploy.compose import compose
from infergate.deploy.folder import File
from infergate.deploy.serve import environment_files, served_by
from infergate.deploy.serve_commands import ENGINES, arguments
from infergate.deploy.templates import filled
from infergate.kinds import KINDS

COMPOSE = "docker-compose.serve.yml"
NEXT_STEPS = (
    f"docker-compose -f {COMPOSE} up -d",
    "cat keys.env   # for the gateway's environment",
)
_PROBE_S = 5


def files(out: Path, config: Path) -> Sequence[File]:
    """For a gateway on the machine itself. out: the folder, whose keys are kept.

    Raises UserError where there is nothing to serve, or what is wrong with the configuration.
    """
    return tuple(_files(*served_by(config, out), gateway=False))


def files_beside_gateway(out: Path, config: Path) -> Sequence[File]:
    """For the gateway of `deploy docker`. Raises as files()."""
    return tuple(_files(*served_by(config, out), gateway=True))


def commands() -> Sequence[Sequence[str]]:
    """What starts them on this machine. Raises StateError where nothing can."""
    return ((*compose(), "-f", COMPOSE, "up", "-d"),)


def _files(serve: Mapping[str, Served], keys: File | None, *, gateway: bool) -> Iterator[File]:
    here = {name: each for name, each in serve.items() if each.engine != "ray"}
    after = starts_after(serve)
    text = filled(
        "serve",
        f"{COMPOSE}.j2",
        version=metadata.version("infergate"),
        engines=[
            _values(name, each, [a for a in after[name] if a in here])
            for name, each in here.items()
        ],
        gateway=gateway,
        keys=keys is not None,
    )
    yield File(COMPOSE, text.encode())
    yield from environment_files(here)
    if keys is not None:
        yield keys


def _values(name: str, served: Served, after: Sequence[str]) -> dict[str, object]:
    engine = ENGINES[served.engine]
    image = served.image or (engine.image if served.gpus else engine.cpu_image)
    words = [each for line in arguments(name, served) for each in line]
    return {
        "name": name,
        "title": engine.title,
        "model": served.model,
        "address": served.listen,
        "image": _text(image),
        "entrypoint": _text(served.program or engine.in_image or ""),
        "words": [_text(each) for each in words],
        "models": _text(_mount(served.model)) if served.model.startswith("/") else "",
        "gpus": [str(each) for each in served.gpus],
        "after": after,
        "host": served.host,
        "port": served.port,
        "health": KINDS[served.engine].liveness_path,
        "interval_s": _PROBE_S,
        "retries": max(1, int(served.ready_within) // _PROBE_S),
    }


def _mount(model: str) -> str:
    """A model's file or folder, at the same place in there."""
    return f"{model}:{model}:ro"


def _text(value: str | Sequence[str]) -> str:
    """A text or a list in YAML; compose puts variables in at `$`."""
    plain = value if isinstance(value, str) else list(value)
    return json.dumps(plain, ensure_ascii=False).replace("$", "$$") if plain else ""
