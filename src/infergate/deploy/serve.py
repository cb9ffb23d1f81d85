"""Engines as services of a machine: a unit for each model, started before the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from infergate.config.serve import Served, served_as, starts_after
from infergate.deploy.apply import need_root
from infergate.deploy.folder import File
from infergate.deploy.serve_commands import ENGINES, arguments, secrets, word
from infergate.deploy.serve_keys import read_served
from infergate.deploy.serve_ray import ray_files
from infergate.deploy.templates import filled, template
from infergate.errors import UserError
from infergate.kinds import KINDS

UNIT = "infergate-serve"
ENVIRONMENTS = "env/"
NEXT_STEPS = ("sudo ./install.sh", "sudo systemctl restart infergate")
_UNIT_TEMPLATE = f"{UNIT}-NAME.service.j2"


def files(out: Path, config: Path) -> Sequence[File]:
    """What install.sh puts in its places. out: the folder, whose keys are kept.

    Raises UserError where there is nothing to serve, or what is wrong with the configuration.
    """
    serve, keys = served_by(config, out)
    return tuple(unit_files(serve, keys, out))


def served_by(config: Path, out: Path) -> tuple[dict[str, Served], File | None]:
    """What a configuration serves, and the gateway's keys. Raises UserError if it is nothing."""
    serve, keys = read_served(config, out)
    if not serve:
        raise UserError(
            "serves nothing: it has no section serve",
            where=str(config),
            hint="serve: { qwen: { engine: vllm, model: Qwen/Qwen2.5-7B-Instruct, listen: 8001 } }",
        )
    return serve, keys


def commands() -> Sequence[Sequence[str]]:
    """What brings them to this machine. Raises StateError for anybody but root."""
    need_root()
    return (("./install.sh",),)


def unit_files(serve: Mapping[str, Served], keys: File | None, out: Path) -> Iterator[File]:
    """All files for units."""
    here = {name: each for name, each in serve.items() if each.engine != "ray"}
    after = starts_after(serve)
    yield File("install.sh", filled("serve", "install.sh.j2", names=list(here)).encode(), 0o755)
    yield File("serve-ready", template("serve", "serve-ready").encode(), 0o755)
    for path in (f"{UNIT}.target", f"{UNIT}.sysusers"):
        yield File(path, template("serve", path).encode())
    for name, each in here.items():
        before = [other for other in after[name] if other in here]
        text = filled("serve", _UNIT_TEMPLATE, **_values(name, each, before))
        yield File(f"{UNIT}-{name}.service", text.encode())
    yield from environment_files(here)
    yield from ray_files(serve, out)
    if keys is not None:
        yield keys


def environment_files(serve: Mapping[str, Served]) -> Iterator[File]:
    """The engines' secrets, for their owner's eyes."""
    for name, each in serve.items():
        lines = "".join(f"{variable}={value}\n" for variable, value in secrets(each).items())
        yield File(f"{ENVIRONMENTS}{name}.env", f"# Secrets of {name}.\n{lines}".encode(), 0o600)


def _values(name: str, served: Served, after: Sequence[str]) -> dict[str, object]:
    engine = ENGINES[served.engine]
    program = served.program or engine.program
    command = [[program], *arguments(name, served)]
    return {
        "version": metadata.version("infergate"),
        "name": name,
        "title": engine.title,
        "model": _comment(served.model),
        "called": _comment(served_as(name, served)),
        "address": served.listen,
        "host": served.host,
        "port": served.port,
        "gpus": ",".join(map(str, served.gpus)),
        "after": [f"{UNIT}-{each}.service" for each in after],
        "waits_for": [f"{UNIT}-{each}.service" for each in served.after if each in after],
        "command": [" ".join(word(each) for each in line) for line in command],
        "health": KINDS[served.engine].liveness_path,
        "ready_within_s": int(served.ready_within),
    }


def _comment(text: str) -> str:
    """A text in a comment or a description: no specifier, and its line is not continued."""
    return text.replace("%", "%%").replace("\\", "/")
