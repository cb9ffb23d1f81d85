"""phoenix_lxc_configs.json in both forms, what is derived from it, and what Proxmox is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from infergate.config.load import load_config
from infergate.deploy.lxc import CONFIGS, files
from infergate.deploy.phoenix import read_containers, schema
from infergate.deploy.phoenix_stack import stack_of
from infergate.deploy.templates import template
from infergate.errors import UserError

EXAMPLE = json.loads(template("lxc", CONFIGS))
LATER = {
    "lxc_id": 953,
    "hostname": "api-gateway-lxc",
    "template": "/templates/debian-13.tar",
    "storage": "quickOS-lxc-disks",
    "disk_size": "32G",
    "memory": 4096,
    "swap": 512,
    "cores": 4,
    "network": {
        "name": "eth0",
        "bridge": "vmbr0",
        "ip": "10.0.0.153/24",
        "gw": "10.0.0.1",
        "mac": "52:54:00:67:89:B3",
    },
    "features": ["nesting=1"],
    "unprivileged": True,
    "app_runner_script": "phoenix_hypervisor_lxc_953.sh",
}


def written(tmp_path: Path, document: Any = EXAMPLE) -> Path:
    """The folder with its files, as `infergate deploy lxc` writes them."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "any_1_amd64.deb").write_bytes(b"a package")
    configs = tmp_path / "given.json"
    configs.write_text(json.dumps(document))
    out = tmp_path / "out"
    for file in files(out, configs, tmp_path / "any_1_amd64.deb"):
        path = out / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content or b"")
        path.chmod(file.mode)
    return out


def test_both_forms_say_the_same_of_container_953() -> None:
    older = read_containers(json.dumps(EXAMPLE), "a")[953]
    for document in (LATER, [LATER], {"lxc_configs": [LATER]}):
        later = read_containers(json.dumps(document), "b")[953]
        for name in ("name", "memory_mb", "swap_mb", "cores", "storage_pool", "storage_size_gb"):
            assert getattr(later, name) == getattr(older, name)
        assert later.network_config == older.network_config
        assert (later.mac_address, later.options) == (older.mac_address, older.options)
        assert later.application_script == older.application_script


def test_the_schema_takes_the_example_and_says_what_is_wrong() -> None:
    document = json.loads(schema())
    jsonschema.Draft7Validator.check_schema(document)
    jsonschema.validate(EXAMPLE, document)
    wrong = json.loads(json.dumps(EXAMPLE))
    wrong["lxc_configs"]["953"]["memory_mb"] = 64
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, document)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"memory_mb": 64}, "memory_mb"),
        ({"name": "x; reboot"}, "name"),
        ({"mac_address": "nonsense"}, "mac_address"),
        ({"storage_pool": "$(reboot)"}, "storage_pool"),
        ({"template": "a b"}, "template"),
        ({"network_config": {"ip": "10.0.0.999/24"}}, "network_config.ip"),
        ({"application_script": "../../evil.sh; x"}, "application_script"),
        ({"pct_options": ["nesting=1 --x"]}, "pct_options"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(changed: dict[str, Any], said: str) -> None:
    entry = {**EXAMPLE["lxc_configs"]["953"], **changed}
    with pytest.raises(UserError) as problem:
        read_containers(json.dumps({"lxc_configs": {"953": entry}}), "given.json")
    assert said in str(problem.value)
    assert "given.json, 953" in str(problem.value)


@pytest.mark.parametrize("text", ["", "{", "[]x", '{"a": 1}'])
def test_a_file_that_is_none_of_them_is_told(text: str) -> None:
    with pytest.raises(UserError):
        read_containers(text, "given.json")


def test_the_eight_backends_of_the_text_are_derived() -> None:
    stack = stack_of(read_containers(json.dumps(EXAMPLE), "a").values(), 953)
    assert {each.url for each in stack.backends} | {each.url for each in stack.services} == {
        "http://10.0.0.151:8000",
        "http://10.0.0.150:8000",
        "http://10.0.0.152:6333",
        "http://10.0.0.154:5678",
        "http://10.0.0.156:8080",
        "http://10.0.0.155:11434",
        "http://10.0.0.157:8081",
        "https://10.0.0.99:9443",
    }
    assert [each.models for each in stack.backends][:2] == [("qwen3",), ("bge-m3",)]


def test_what_is_written_is_a_configuration_that_infergate_takes(tmp_path: Path) -> None:
    out = written(tmp_path)
    loaded = load_config(out / "run/infergate.yaml")
    assert set(loaded.config.backends) == {"vllm-qwen", "vllm-embedding", "ollama", "llamacpp"}
    assert set(loaded.config.services) == {"qdrant", "n8n", "webui", "portainer"}
    assert YAML(typ="safe").load((out / "run/infergate.yaml").read_text())["waf"] == "block"
    for script in (out / "bin").iterdir():
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert "/proc/meminfo" not in script.read_text(), "unreadable in unprivileged containers"


PCT = '''\
#!{python}
"""A double of Proxmox's pct(1): what its manual has of these commands, its state in a file."""
import json, pathlib, sys
file = pathlib.Path({state!r})
state = json.loads(file.read_text()) if file.exists() else {{}}
log = pathlib.Path({log!r})
OPTIONS = {{
    "create": "hostname rootfs unprivileged features memory swap cores net0 onboot startup",
    "clone": "hostname full storage",
    "set": "hostname memory swap cores net0 onboot startup",
    "push": "perms user group",
}}
what, id_, *rest = sys.argv[1:]
if what not in ("status", "config", "exec"):
    with log.open("a") as out:
        out.write(" ".join(sys.argv[1:]) + "\\n")
if what == "exec":
    assert rest[0] == "--" and state["status"] == "running", rest
    if rest[1:3] == ["systemctl", "is-system-running"]:
        print("running")
    sys.exit(0)
if what in ("status", "config", "set", "start") and not state:
    sys.exit("Configuration file does not exist")
if what == "status":
    print("status:", state["status"])
elif what == "config":
    for name, value in state["config"].items():
        print(f"{{name}}: {{value}}")
elif what == "start":
    assert state["status"] == "stopped", "already running"
    state["status"] = "running"
elif what == "shutdown":
    state["status"] = "stopped"
elif what in ("create", "clone", "set"):
    if what != "set":
        assert not state, "already exists"
        state = {{"status": "stopped", "config": {{}}}}
        rest = rest[1:]
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    for name, value in pairs:
        assert name[2:] in OPTIONS[what].split(), name
        state["config"][name[2:]] = value
file.write_text(json.dumps(state))
'''


def orchestrate(out: Path, *words: str) -> str:
    path = f"{out.parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", str(out / "bin/phoenix_orchestrator.sh"), *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("clone", [False, True])
def test_proxmox_is_told_once_what_the_container_is(tmp_path: Path, clone: bool) -> None:
    document = json.loads(json.dumps(EXAMPLE))
    if clone:
        del document["lxc_configs"]["953"]["template"]
        document["lxc_configs"]["953"]["clone_from_ctid"] = 900
    out = written(tmp_path, document)
    pct, log = tmp_path / "pct", tmp_path / "log"
    pct.write_text(PCT.format(python=sys.executable, state=str(tmp_path / "s"), log=str(log)))
    pct.chmod(0o755)
    plan = orchestrate(out, "--dry-run")
    assert not log.exists(), "a plan changes nothing"
    assert "pct start 953" in plan
    for step in ("create", "configure", "start"):
        orchestrate(out, "953", "--action", step)
    said = log.read_text()
    told = [line.split()[:3] for line in said.splitlines()]
    made = ["clone", "900", "953"] if clone else ["create", "953", _TEMPLATE]
    assert told == [made, ["set", "953", "--hostname"], ["start", "953"]]
    for part in (
        "--memory 4096 --swap 512 --cores 4",
        "name=eth0,bridge=vmbr0,hwaddr=52:54:00:67:89:B3,ip=10.0.0.153/24,gw=10.0.0.1",
        "--onboot 1 --startup order=1",
        "quickOS-lxc-disks",
    ):
        assert part in said
    for step in ("create", "configure", "start"):
        assert "done already" in orchestrate(out, "--lxc", "953", "--action", step)
    assert log.read_text() == said


def test_a_plan_says_what_of_the_entry_is_left_to_you(tmp_path: Path) -> None:
    document = json.loads(json.dumps(EXAMPLE))
    rule = {"type": "in", "action": "ACCEPT", "source": "10.0.0.5", "proto": "tcp", "port": "443"}
    volume = {"name": "logs", "pool": "fast", "size_gb": 8, "mount_point": "/var/log"}
    asked = {
        "firewall": {"enabled": True, "rules": [rule]},
        "volumes": [volume],
        "zfs_volumes": [],
        "lxc_options": ["lxc.apparmor.profile=unconfined"],
        "features": ["base_setup"],
        "something": "END\n$(touch made)",
        "end'\nEND\ntouch made": 1,
    }
    document["lxc_configs"]["953"].update(asked)
    out = written(tmp_path, document)
    plan = orchestrate(out, "--dry-run", "--driver", "pct")
    said = [line.split(": ") for line in plan.splitlines() if "left alone" in line]
    assert [name for _, name, *_ in said] == [
        *("features", "firewall", "lxc_options", "something", "volumes")
    ]
    assert "/etc/pve/firewall/953.fw" in plan
    assert "pct set 953 --mp0" in plan
    assert "touch made" not in (out / "bin/phoenix_orchestrator.sh").read_text(), "a script, too"
    document["lxc_configs"]["953"].update(dict.fromkeys(asked, None), features=[])
    document["lxc_configs"]["953"]["firewall"] = {"enabled": False, "rules": [rule]}
    out = written(tmp_path / "b", document)
    assert "left alone" not in orchestrate(out, "--dry-run", "--driver", "pct")


_TEMPLATE = EXAMPLE["lxc_configs"]["953"]["template"]
