"""The gateway as a container: a compose file, the image's source, and the two files one edits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata

from infergate.deploy.folder import File
from infergate.deploy.requirements import requirements
from infergate.deploy.templates import rendered
from infergate.deploy.wheel import wheel
from infergate.errors import StateError

USER_ID = 10001
"""Whom the container's processes belong to where root wrote the files: nobody of most machines."""

_PASSWORDS = ".env"
_YOURS = frozenset((_PASSWORDS, "nginx/infergate.yaml"))
_PROGRAMS = "nginx/bin/"

NEXT_STEPS = (
    "cp nginx/upstream_ollama.conf.example nginx/upstream_ollama.conf   # and list your servers",
    "cp nginx/api_keys.conf.example nginx/api_keys.conf                 # and add your keys",
    "docker-compose up --build -d",
)


def files() -> Sequence[File]:
    """All of them. The container's processes belong to whoever writes the files, so that they may
    write logs/ and read keys that nobody else may."""
    return tuple(_files(*_owner()))


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
    yield File("logs", None, 0o755, owner=(user, group))


def commands() -> Sequence[Sequence[str]]:
    """What starts it on this machine. Raises StateError where nothing can."""
    for program in (("docker-compose",), ("docker", "compose"), ("podman-compose",)):
        if shutil.which(program[0]) is not None:
            return ((*program, "up", "--build", "-d"),)
    raise StateError(
        "there is neither docker-compose nor docker nor podman-compose on this machine",
        hint="Install Docker: https://docs.docker.com/get-docker/",
    )
