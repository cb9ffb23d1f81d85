"""The kinds of deployment, by the name that `infergate deploy` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infergate.deploy import deb, docker, ec2, lxc, systemd
from infergate.deploy.folder import File


@dataclass(frozen=True)
class Wishes:
    """What some kinds are told. out: the folder that is written to.

    from_: what is there already (lxc: the containers). package: a .deb that is made already.
    """

    out: Path
    from_: Path | None = None
    package: Path | None = None


@dataclass(frozen=True)
class Kind:
    """One way of bringing a gateway to a machine.

    files: what is written, without touching anything else.
    takes: which of from_ and package it looks at.
    next_steps: what is left for a person to do with them.
    apply: commands that bring it to this machine, in the folder; each a program and its arguments.
    """

    files: Callable[[Wishes], Sequence[File]]
    next_steps: Sequence[str]
    apply: Callable[[], Sequence[Sequence[str]]]
    takes: frozenset[str] = frozenset()


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "docker": Kind(lambda _: docker.files(), docker.NEXT_STEPS, docker.commands),
        "systemd": Kind(lambda _: systemd.files(), systemd.NEXT_STEPS, systemd.commands),
        "deb": Kind(lambda _: deb.files(), deb.NEXT_STEPS, deb.commands),
        "lxc": Kind(
            lambda wishes: lxc.files(wishes.out, wishes.from_, wishes.package),
            lxc.NEXT_STEPS,
            lxc.commands,
            takes=frozenset(("from", "package")),
        ),
        "ec2": Kind(
            lambda wishes: ec2.files(wishes.package),
            ec2.NEXT_STEPS,
            ec2.commands,
            takes=frozenset(("package",)),
        ),
    }
)
