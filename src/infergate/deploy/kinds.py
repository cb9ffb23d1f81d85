"""The kinds of deployment, by the name that `infergate deploy` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from infergate.deploy import deb, docker, systemd
from infergate.deploy.folder import File


@dataclass(frozen=True)
class Kind:
    """One way of bringing a gateway to a machine.

    files: what is written, without touching anything else.
    next_steps: what is left for a person to do with them.
    apply: commands that bring it to this machine, in the folder; each a program and its arguments.
    """

    files: Callable[[], Sequence[File]]
    next_steps: Sequence[str]
    apply: Callable[[], Sequence[Sequence[str]]]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "docker": Kind(docker.files, docker.NEXT_STEPS, docker.commands),
        "systemd": Kind(systemd.files, systemd.NEXT_STEPS, systemd.commands),
        "deb": Kind(deb.files, deb.NEXT_STEPS, deb.commands),
    }
)
