"""The kinds of deployment, by the name that `infergate deploy` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infergate.deploy import deb, docker, ec2, lxc, serve, serve_docker, systemd
from infergate.deploy.folder import File
from infergate.state_folder import DEFAULT_NAME


@dataclass(frozen=True)
class Wishes:
    """What some kinds are told. out: the folder that is written to.

    from_: what is there already (lxc: the containers). package: a .deb that is made already.
    config: the gateway's configuration, whose `serve` is brought, too.
    """

    out: Path
    from_: Path | None = None
    package: Path | None = None
    config: Path | None = None


@dataclass(frozen=True)
class DeploymentKind:
    """One way of bringing a gateway to a machine.

    files: what is written, without touching anything else.
    takes: what it looks at: "from", "package", "config".
    needs_config: it is all about a configuration's `serve`.
    next_steps: what is left for a person to do with them.
    apply: commands that bring it to this machine, in the folder; each a program and its arguments.
        Raises StateError where they cannot be run, before anything is written.
    """

    files: Callable[[Wishes], Sequence[File]]
    next_steps: Callable[[Wishes], Sequence[str]]
    apply: Callable[[Wishes], Sequence[Sequence[str]]]
    takes: frozenset[str] = frozenset()
    needs_config: bool = False


_CONFIG = frozenset(("config",))


def _config(wishes: Wishes) -> Path:
    return wishes.config or Path(DEFAULT_NAME)


KINDS: Mapping[str, DeploymentKind] = MappingProxyType(
    {
        "docker": DeploymentKind(
            lambda wishes: docker.files(wishes.out, wishes.config),
            lambda wishes: docker.next_steps(wishes.out, wishes.config),
            lambda wishes: docker.commands(wishes.out, wishes.config),
            takes=_CONFIG,
        ),
        "systemd": DeploymentKind(
            lambda wishes: systemd.files(wishes.out, wishes.config),
            lambda _: systemd.NEXT_STEPS,
            lambda _: systemd.commands(),
            takes=_CONFIG,
        ),
        "deb": DeploymentKind(
            lambda _: deb.files(),
            lambda _: deb.NEXT_STEPS,
            lambda _: deb.commands(),
        ),
        "lxc": DeploymentKind(
            lambda wishes: lxc.files(wishes.out, wishes.from_, wishes.package),
            lambda _: lxc.NEXT_STEPS,
            lambda _: lxc.commands(),
            takes=frozenset(("from", "package")),
        ),
        "ec2": DeploymentKind(
            lambda wishes: ec2.files(wishes.package),
            lambda _: ec2.NEXT_STEPS,
            lambda _: ec2.commands(),
            takes=frozenset(("package",)),
        ),
        "serve": DeploymentKind(
            lambda wishes: serve.files(wishes.out, _config(wishes)),
            lambda _: serve.NEXT_STEPS,
            lambda _: serve.commands(),
            takes=_CONFIG,
            needs_config=True,
        ),
        "serve-docker": DeploymentKind(
            lambda wishes: serve_docker.files(wishes.out, _config(wishes)),
            lambda _: serve_docker.NEXT_STEPS,
            lambda _: serve_docker.commands(),
            takes=_CONFIG,
            needs_config=True,
        ),
    }
)
