"""The program that runs compose files on this machine."""

from __future__ import annotations

import shutil

from infergate.errors import StateError


def compose() -> tuple[str, ...]:
    """Its words. Raises StateError where there is none."""
    for program in (("docker-compose",), ("docker", "compose"), ("podman-compose",)):
        if shutil.which(program[0]) is not None:
            return program
    raise StateError(
        "there is neither docker-compose nor docker nor podman-compose on this machine",
        hint="Install Docker: https://docs.docker.com/get-docker/",
    )
