"""The gateway as a container: a compose file, the image's source, and the two files one edits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from infergate.deploy import serve_docker
from infergate.deploy.compose import compose
from infergate.deploy.folder import File
from infergate.deploy.requirements import requirements
from infergate.deploy.serve_keys import serves
from infergate.deploy.templates import rendered
from infergate.deploy.wheel import wheel
from infergate.metrics.shipped import dashboards, rules

USER_ID = 10001
"""Whom the container's processes belong to where root wrote the files: nobody of most machines."""

_PASSWORDS = ".env"
_CONFIGURATION = "nginx/infergate.yaml"
_YOURS = frozenset((_PASSWORDS, _CONFIGURATION))
_PROGRAMS = "nginx/bin/"

_LISTS = (
    "cp nginx/upstream_ollama.conf.example nginx/upstream_ollama.conf   # and list your servers",
    "cp nginx/api_keys.conf.example nginx/api_keys.conf                 # and add your keys",
)


def files(out: Path, config: Path | None) -> Sequence[File]:
    """All of them. The container's processes belong to whoever writes the files, so that they may
    write logs/ and read keys that nobody else may.

    config: whose engines are brought, too; that of the folder `out`, if None.
    """
    source = _serving(out, config)
    engines = serve_docker.files_beside_gateway(out, source) if source else ()
    return (*_files(*_owner()), *engines)


def _serving(out: Path, config: Path | None) -> Path | None:
    own = out / _CONFIGURATION
    return config or (own if serves(own) else None)


def _owner() -> tuple[int, int]:
    user, group = os.geteuid(), os.getegid()
    return (user, group) if user != 0 else (USER_ID, USER_ID)


def _files(user: int, group: int) -> Iterator[File]:
    name, packed = wheel()
    values = {
        "version": metadata.version("infergate"),
        "wheel": name,
        "user": user,
        "group": group,
        "user_id": USER_ID,
    }
    for path, text in rendered("docker", **values):
        mode = 0o755 if path.startswith(_PROGRAMS) else 0o644
        if path == _PASSWORDS:
            mode = 0o600
        yield File(path, text.encode(), mode, yours=path in _YOURS)
    yield File(f"nginx/{name}", packed)
    yield File("nginx/requirements.txt", requirements().encode())
    yield File("monitoring/infergate-rules.yml", rules().encode())
    for name, text in dashboards():
        yield File(f"monitoring/dashboards/{name}", text.encode())
    yield File("logs", None, 0o755, owner=(user, group))


def commands(out: Path, config: Path | None) -> Sequence[Sequence[str]]:
    """What starts it on this machine, with its engines. Raises StateError where nothing can."""
    return ((*compose(), *_compose_files(out, config), "up", "--build", "-d"),)


def next_steps(out: Path, config: Path | None) -> Sequence[str]:
    """What is left for a person to do."""
    words = ("docker-compose", *_compose_files(out, config), "up", "--build", "-d")
    return (*_LISTS, " ".join(words))


def _compose_files(out: Path, config: Path | None) -> Sequence[str]:
    """The options that name them; none where it is the usual one."""
    if _serving(out, config) is None:
        return ()
    return ("-f", "docker-compose.yml", "-f", serve_docker.COMPOSE)
