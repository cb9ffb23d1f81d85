"""Instances of EC2, as far as an LXC container and doubles go: cloud-init is real, AWS is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy import aws, rootfs
from tests.deploy.hypervisor import Hypervisor, hypervisor
from tests.deploy.machine import Machine, run
from tests.gateway import until

ROOT = Path(__file__).parents[2]
BOOT_S = 900
"""Until the user data is through; a tenth of it on an idle machine."""

# As Debian's image has it, but that the network is LXC's; and that cloud-init is told it is at
# Amazon's, since no container has hardware that says so. Only there it asks by IMDSv2.
_AMAZON = ("lambda x: CloudNames.UNKNOWN", "lambda x: CloudNames.AWS")
_CLOUD_INIT = """\
datasource_list: [ Ec2 ]
datasource: { Ec2: { timeout: 20, max_wait: 120 } }
network: { config: disabled }
apt: { preserve_sources_list: true }
"""
_FAKE_VLLM = """\
#!/bin/sh
# NOT vLLM: the scripted backend in its place, which takes its time to "load" the model.
[ "$1" = serve ] || exit 2
model=$2 port=
while [ $# -gt 0 ]; do
    [ "$1" != --port ] || port=$2
    shift
done
sleep 5
exec python3 /opt/vllm/scripted.py --port "$port" --models "$model"
"""
_FAKE_AGENT = {
    "DEBIAN/control": "Package: amazon-ssm-agent\nVersion: 0-double\nArchitecture: all\n"
    "Maintainer: nobody <nobody@localhost>\nDescription: not the agent\n",
    "DEBIAN/postinst": "#!/bin/sh\nsystemctl enable amazon-ssm-agent\n",
    "usr/lib/systemd/system/amazon-ssm-agent.service": "[Service]\nType=oneshot\n"
    "ExecStart=/bin/true\nRemainAfterExit=yes\n[Install]\nWantedBy=multi-user.target\n",
}


@dataclass
class Ec2:
    """The doubles, and what starts instances beside them."""

    host: Hypervisor
    package: Path
    folder: Path
    told: dict[str, Any] = field(default_factory=dict)

    def calls(self, service: str) -> list[dict[str, Any]]:
        """What was asked of it, in order."""
        file = self.folder / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [call for call in map(json.loads, lines) if call["service"] == service]

    def upload(self, instance: Path) -> None:
        """The folder `instance/`, as `terraform apply` or `aws s3 sync` do."""
        target = self.folder / "bucket/instance"
        target.mkdir(parents=True, exist_ok=True)
        for file in instance.iterdir():
            (target / file.name).write_bytes(file.read_bytes())

    def launch(self, number: str, user_data: str) -> Instance:
        """One with this user data, on its first boot."""
        address = f"10.0.0.{number}"
        (self.folder / "user-data" / aws.INSTANCES[address]).write_text(user_data)
        phoenix = f"ec2-{number}"
        entry = {
            "name": f"gateway-{number}",
            "memory_mb": 2048,
            "cores": 2,
            "network_config": {"ip": f"{address}/24", "gw": aws.HERE},
        }
        configs = self.host.folder / f"{phoenix}.json"
        configs.write_text(json.dumps({"lxc_configs": {number: entry}}))
        self.host.sh(
            f"infergate deploy lxc -o {phoenix} --from {configs} --package {self.package}\n"
            f"export TEMPLATE={rootfs.EC2_TEMPLATE}\n"
            f"{phoenix}/bin/phoenix_orchestrator.sh --action create\n"
            f"{phoenix}/bin/phoenix_orchestrator.sh --action configure"
        )
        self._furnish(self.host.folder / "lxc" / number / "rootfs")
        self.host.sh(f"lxc-start -P {self.host.folder}/lxc -n {number}")
        return Instance(self, number)

    def _furnish(self, root: Path) -> None:
        names = " ".join(aws.NAMES)
        with (root / "etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.0.1 localhost\n{aws.HERE} {names}\n")
        (root / "etc/cloud/cloud.cfg.d/95_double.cfg").write_text(_CLOUD_INIT)
        source = root / "usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py"
        source.write_text(source.read_text().replace(*_AMAZON))
        with (root / "etc/ssl/certs/ca-certificates.crt").open("a") as trusted:
            trusted.write((self.folder / "Double-of-Amazon.pem").read_text())
            trusted.write(self.told["root"])
        (root / "etc/pebble.pem").write_text(self.told["ca"])
        vllm = root / "opt/vllm/bin/vllm"
        vllm.parent.mkdir(parents=True)
        vllm.write_text(_FAKE_VLLM)
        vllm.chmod(0o755)
        for file in (ROOT / "tests/backends").glob("scripted*.py"):
            (root / "opt/vllm" / file.name).write_bytes(file.read_bytes())


@dataclass
class Instance:
    """A container that believes it is one."""

    ec2: Ec2
    number: str

    def sh(self, script: str, *, code: int = 0) -> str:
        return self.ec2.host.inside(script, code=code, container=self.number)

    def log(self) -> str:
        return self.sh("cat /var/log/user-data.log || true")

    def serves(self) -> None:
        """Comes back when its set-up is through."""
        until(lambda: "done" in self.sh("ls /var/lib/infergate-ec2 || true").split(), BOOT_S)

    def power_cycle(self) -> None:
        lxc = f"-P {self.ec2.host.folder}/lxc -n {self.number}"
        self.ec2.host.sh(f"lxc-stop {lxc} --timeout 120; lxc-start {lxc}")
        until(lambda: self.active("infergate"), BOOT_S)

    def active(self, service: str) -> bool:
        return self.sh(f"systemctl is-active {service} || true").split() == ["active"]

    def moments(self) -> tuple[int, int]:
        """When vLLM was healthy, and when the gateway's program began; microseconds."""
        shown = self.sh(
            "systemctl show -P ActiveEnterTimestampMonotonic vllm\n"
            "systemctl show -P ExecMainStartTimestampMonotonic infergate"
        )
        healthy, began = map(int, shown.split())
        return healthy, began


@contextmanager
def ec2(package: Path) -> Iterator[Ec2]:
    """A region with one bucket and no instance."""
    with hypervisor() as host:
        folder = host.folder / "aws"
        for each in ("user-data", "bucket"):
            (folder / each).mkdir(parents=True)
        (folder / "parameters.json").write_text("{}")
        _agent(folder)
        for words in (
            f"address add {aws.METADATA}/32 dev vmbr0",
            f"route add {aws.ADDRESS}/32 dev vmbr0",
        ):
            run("ip", "-n", host.netns, *words.split())
        double = subprocess.Popen(
            Machine.command(host, sys.executable, "-m", "tests.deploy.aws", str(folder)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            assert double.stdout is not None
            assert double.stdout.readline() == b"all there\n"
            told = json.loads((folder / "authority.json").read_text())
            yield Ec2(host, package, folder, told)
        finally:
            os.killpg(double.pid, signal.SIGTERM)
            double.wait()


def _agent(folder: Path) -> None:
    """The double of Session Manager's agent, where AWS has it."""
    root = folder / "agent"
    for name, text in _FAKE_AGENT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    target = folder / f"bucket/amazon-ssm-{aws.REGION}/latest/debian_amd64/amazon-ssm-agent.deb"
    target.parent.mkdir(parents=True)
    run("dpkg-deb", "--root-owner-group", "--build", str(root), str(target))
