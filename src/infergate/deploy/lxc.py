"""The gateway as a container of a Proxmox host, or of LXC elsewhere: text 002's files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from infergate.deploy import deb
from infergate.deploy.apply import need_root
from infergate.deploy.folder import File
from infergate.deploy.phoenix import Container, read_containers, schema
from infergate.deploy.phoenix_left import left_alone
from infergate.deploy.phoenix_stack import Stack, stack_of
from infergate.deploy.templates import rendered, template
from infergate.errors import StateError, UserError

CONFIGS = "etc/phoenix_lxc_configs.json"
GATEWAY_ID = 953
_SCRIPT = "bin/phoenix_hypervisor_lxc.sh"
_GATEWAY_NAMES = ("gateway", "nginx")
_PROGRAMS = "bin/"
_DRIVERS = ("pct", "lxc-start")
_MANY_WORKERS_MB = 1024
"""Idle with two workers it has 330 MB, most of it the firewall's rules; a reload has them twice."""

NEXT_STEPS = ("bin/phoenix_orchestrator.sh --dry-run", "bin/phoenix_orchestrator.sh")


def files(out: Path, configs: Path | None, package: Path | None) -> Sequence[File]:
    """All of them.

    configs: the containers; that of the folder `out` if None, else an example.
    package: a .deb that is there already; made if None.
    Raises UserError where the containers cannot be understood.
    """
    source = configs or out / CONFIGS
    text = template("lxc", CONFIGS)
    if configs is not None or source.is_file():
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise UserError(f"cannot be read: {problem}", where=str(source)) from None
    containers = read_containers(text, str(source))
    gateway = _gateway(tuple(containers.values()), str(source))
    name, content = deb.given(package)
    digest = hashlib.sha256(content).hexdigest()
    values = _values(gateway, name, digest) | _of_stack(stack_of(containers.values(), gateway.id))
    made = [File(f"run/{name}", content, 0o600)]
    for path, filled in rendered("lxc", **values):
        if path == CONFIGS:
            made.append(File(path, text.encode(), yours=configs is None))
        elif path == _SCRIPT:
            own = gateway.application_script or f"phoenix_hypervisor_lxc_{gateway.id}.sh"
            made.append(File(f"{_PROGRAMS}{Path(own).name}", filled.encode(), 0o755))
        else:
            mode = 0o755 if path.startswith(_PROGRAMS) else 0o644
            made.append(File(path, filled.encode(), mode))
    made.append(File(CONFIGS.replace(".json", ".schema.json"), schema().encode()))
    return made


def commands() -> Sequence[Sequence[str]]:
    """What makes the container on this machine. Raises StateError where nobody or nothing can."""
    need_root()
    if not any(map(shutil.which, _DRIVERS)):
        raise StateError(
            "there is neither pct nor lxc-start on this machine, so no container can be made",
            hint="Run it on the Proxmox host, or: apt install lxc uidmap.",
        )
    return (("bin/phoenix_orchestrator.sh",),)


def _gateway(listed: Sequence[Container], where: str) -> Container:
    for each in listed:
        if each.id == GATEWAY_ID:
            return each
    named = [each for each in listed if any(word in each.name for word in _GATEWAY_NAMES)]
    if len(named) != 1:
        raise UserError(
            f"there is no entry {GATEWAY_ID}, and not exactly one whose name says gateway",
            where=where,
        )
    return named[0]


def _values(gateway: Container, package: str, digest: str) -> dict[str, object]:
    network = gateway.network_config
    return {
        "version": metadata.version("infergate"),
        "id": gateway.id,
        "name": gateway.name,
        "address": gateway.address,
        "memory_mb": gateway.memory_mb,
        "one_worker": gateway.memory_mb < _MANY_WORKERS_MB,
        "swap_mb": gateway.swap_mb,
        "cores": gateway.cores,
        "storage": gateway.storage_pool,
        "disk_gb": gateway.storage_size_gb,
        "template": gateway.template or "",
        "clone_from": "" if gateway.template else gateway.clone_from_ctid or "",
        "interface": network.name,
        "bridge": network.bridge,
        "ip": network.ip,
        "gateway": network.gw or "",
        "mac": gateway.mac_address or "",
        "unprivileged": int(gateway.unprivileged),
        "options": gateway.options,
        "onboot": int(gateway.start_at_boot),
        "boot_order": "" if gateway.boot_order is None else gateway.boot_order,
        "left_alone": list(left_alone(gateway)),
        "package": package,
        "package_sha256": digest,
    }


def _of_stack(stack: Stack) -> dict[str, object]:
    names: dict[str, list[str]] = {}
    for each in stack.backends:
        for model in each.models:
            names.setdefault(model, []).append(each.name)
    cached = {model for each in stack.backends if each.caches for model in each.models}
    models = [(model, served, model in cached) for model, served in names.items()]
    return {"backends": stack.backends, "services": stack.services, "models": models}
