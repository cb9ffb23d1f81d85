"""What a gateway's entry asks for that phoenix_orchestrator.sh does not do; its plan says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from infergate.deploy.phoenix import Container

_MOUNT = "pct set {id} --mp0 POOL:GB,mp=PATH mounts one, without Proxmox lxc.mount.entry"
_CHECKED = "infergate validate checks, in the step check"
_INSTEAD = {
    "firewall": "Proxmox keeps such rules in /etc/pve/firewall/{id}.fw, for net0 with firewall=1; "
    "this container needs 80 and 443 let in",
    "volumes": _MOUNT,
    "zfs_volumes": _MOUNT,
    "features": "none of those scripts is run; what the gateway needs is in its own",
    "lxc_options": "lines for the configuration of LXC, where you want them",
    "apparmor_profile": "the usual one stays",
    "gpu_assignment": "the gateway needs no GPU",
    "dependencies": "boot_order says who is first",
    "boot_delay": "pct set {id} --startup order=N,up=SECONDS",
    "health_check": _CHECKED,
    "tests": _CHECKED,
    "integration_tests": _CHECKED,
}
_NOT_OF_THE_CONTAINER = frozenset(("portainer_role",))
_NAME = r"[A-Za-z0-9_]+"
"""Of a field that may be shown by a shell script as it is."""


def left_alone(gateway: Container) -> Iterator[str]:
    """A line for each, with what to do instead; safe in a script."""
    given = {**(gateway.model_extra or {}), "features": gateway.features}
    for name, value in sorted(given.items()):
        if name in _NOT_OF_THE_CONTAINER or not re.fullmatch(_NAME, name) or not _asks(value):
            continue
        instead = _INSTEAD.get(name, "nothing here knows it")
        yield f"{name}: {instead.format(id=gateway.id)}"


def _asks(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("enabled", True) is not False and bool(value)
    return bool(value) and value != "none"
