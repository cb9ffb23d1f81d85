"""`phoenix_lxc_configs.json`: containers of a Proxmox host, in both forms that are in use.

The older has `lxc_configs`, an object by id; a later one has an entry by itself, or a list, with
other names for the same things (`lxc_id`, `hostname`, `disk_size: "32G"`, `network.mac`).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infergate.errors import UserError

_OTHER_NAMES = {
    "lxc_id": "id",
    "hostname": "name",
    "memory": "memory_mb",
    "swap": "swap_mb",
    "storage": "storage_pool",
    "network": "network_config",
    "app_runner_script": "application_script",
}
_NAME = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,62})$"
_MAC = r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$"
_OPTION = r"^[a-z0-9_]+(=[A-Za-z0-9;_.-]+)?$"
_SCRIPT = r"^[A-Za-z0-9_./-]+\.sh$"
_WORD = r"^[A-Za-z0-9_./:=,@+-]+$"
"""What may stand in a shell script and in LXC's files as it is."""


class Network(BaseModel):
    """The container's one interface. ip: with its prefix."""

    name: str = Field("eth0", pattern=r"^[a-z][a-z0-9]{0,14}$")
    bridge: str = Field("vmbr0", pattern=r"^[A-Za-z0-9_.-]{1,15}$")
    ip: ipaddress.IPv4Interface
    gw: ipaddress.IPv4Address | None = None


class Container(BaseModel):
    """One entry. Fields that only other programs read may be there, too."""

    model_config = ConfigDict(extra="allow")

    id: int = Field(ge=90, le=999_999_999)
    name: str = Field(pattern=_NAME)
    memory_mb: int = Field(2048, ge=512)
    swap_mb: int = Field(512, ge=0)
    cores: int = Field(1, ge=1, le=512)
    template: str | None = Field(None, pattern=_WORD)
    clone_from_ctid: int | None = None
    storage_pool: str = Field("local-lvm", pattern=_WORD)
    storage_size_gb: int = Field(8, ge=1)
    network_config: Network
    mac_address: str | None = Field(None, pattern=_MAC)
    unprivileged: bool = True
    features: list[str] = []
    pct_options: list[Annotated[str, Field(pattern=_OPTION)]] = []
    start_at_boot: bool = True
    boot_order: int | None = Field(None, ge=0)
    application_script: str | None = Field(None, pattern=_SCRIPT)
    ports: list[str] = []
    vllm_model: str | None = None
    vllm_served_model_name: str | None = None
    vllm_model_type: str | None = None
    vllm_port: int | None = Field(None, ge=1, le=65535)
    vllm_engine_config: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        entry = {_OTHER_NAMES.get(name, name): value for name, value in given.items()}
        size = entry.pop("disk_size", None)
        if isinstance(size, str):
            if not re.fullmatch(r"\d+G", size):
                raise ValueError(f"disk_size is {size!r}; a number of gigabytes is like 32G")
            entry.setdefault("storage_size_gb", int(size[:-1]))
        network = entry.get("network_config")
        if isinstance(network, dict) and "mac" in network:
            entry.setdefault("mac_address", network["mac"])
        # The later form calls Proxmox's options features; in the older those are scripts.
        features = entry.get("features")
        if isinstance(features, list) and any("=" in str(each) for each in features):
            entry["pct_options"] = [*entry.get("pct_options", ()), *features]
            entry["features"] = []
        return entry

    @property
    def address(self) -> str:
        return str(self.network_config.ip.ip)

    @property
    def options(self) -> str:
        """Proxmox's --features: nesting=1 is there, which systemd in the container needs."""
        given = dict(each.partition("=")[::2] for each in self.pct_options if "=" in each)
        return ",".join(f"{name}={value}" for name, value in ({"nesting": "1"} | given).items())


def read_containers(text: str, where: str) -> Mapping[int, Container]:
    """The entries by id. Raises UserError that says what is wrong in which."""
    try:
        document = json.loads(text)
    except ValueError as problem:
        raise UserError(f"is no JSON: {problem}", where=where) from None
    found: dict[int, Container] = {}
    for number, entry in enumerate(_entries(document, where)):
        try:
            container = Container.model_validate(entry)
        except ValidationError as problem:
            name = (
                entry.get("id", entry.get("lxc_id", number)) if isinstance(entry, dict) else number
            )
            lines = (
                f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in problem.errors()
            )
            raise UserError("\n  ".join(lines), where=f"{where}, {name}") from None
        found[container.id] = container
    return found


def _entries(document: Any, where: str) -> list[Any]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        by_id = document.get("lxc_configs", document)
        if isinstance(by_id, dict) and all(str(key).isdigit() for key in by_id):
            return [
                {"id": int(key), **each} for key, each in by_id.items() if isinstance(each, dict)
            ]
        if isinstance(by_id, list):
            return by_id
        if "lxc_id" in document or "network_config" in document:
            return [document]
    raise UserError("has neither lxc_configs nor an entry with lxc_id", where=where)


def read_file(path: Path) -> Mapping[int, Container]:
    """Raises UserError."""
    try:
        return read_containers(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"cannot be read: {problem}", where=str(path)) from None


def schema() -> str:
    """The JSON Schema of the older form, for editors and for `lxc_configs` of other programs."""
    entry = Container.model_json_schema(ref_template="#/definitions/{model}")
    definitions = entry.pop("$defs", {})
    entry["required"] = [name for name in entry.get("required", ()) if name != "id"]
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["lxc_configs"],
        "properties": {
            "lxc_configs": {
                "type": "object",
                "propertyNames": {"pattern": "^[0-9]+$"},
                "additionalProperties": {"$ref": "#/definitions/Container"},
            }
        },
        "definitions": {**definitions, "Container": entry},
    }
    return json.dumps(document, indent=2) + "\n"
