"""A machine that runs containers of LXC: a network namespace with a bridge and no way out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy import rootfs
from tests.deploy.machine import Machine, run
from tests.deploy.stack import ADDRESSES

ID = "953"

# LXC looks for the bridge in /sys, which shows the network of whoever mounted it; the cgroups,
# which are mounted below it, have to stay.
_SYS = """\
kept=$(mktemp -d) && mount --rbind /sys/fs/cgroup "$kept" && mount -t sysfs sysfs /sys &&
mount --rbind "$kept" /sys/fs/cgroup && umount -l "$kept" && rmdir "$kept" && exec "$@"
"""


@dataclass
class Hypervisor(Machine):
    """Its containers are below `folder`/lxc."""

    def command(self, *words: str) -> list[str]:
        return [*super().command("unshare", "--mount", "sh", "-c", _SYS, "sh"), *words]

    def environ(self) -> dict[str, str]:
        return {
            **super().environ(),
            "LXC_PATH": str(self.folder / "lxc"),
            "TEMPLATE": str(rootfs.TEMPLATE),
        }

    def inside(
        self, script: str, *, code: int = 0, timeout_s: float = 300, container: str = ID
    ) -> str:
        """A script's output in the container, as root's; it must end with this code."""
        attach = f"lxc-attach -P {self.folder}/lxc -n {container} --clear-env -v HOME=/root"
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        given = self.folder / "script"
        given.write_text(f"cd /root\n{script}")
        return self.sh(
            f"{attach} -v {path} -- bash -euo pipefail -s < {given}", code=code, timeout_s=timeout_s
        )

    def put(self, source: Path, path: str) -> None:
        """A file into the container, as root's there."""
        attach = f"lxc-attach -P {self.folder}/lxc -n {ID} --clear-env"
        self.sh(f"{attach} -- sh -c 'cat > {path}' < {source}")

    def cut(self, command: str, at: str) -> str:
        """Kill a command, with all that it started, when it has printed this; what it had said."""
        process = self.start("bash", "-c", f"{command} 2>&1")
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.decode(errors="replace"))
            if re.search(at, said[-1]):
                os.killpg(process.pid, signal.SIGKILL)
                break
        process.stdout.close()
        process.wait(60)
        text = "".join(said)
        assert re.search(at, text, re.MULTILINE), f"it never came to {at!r}:\n{text}"
        return text

    def stack(self) -> None:
        """The eight backends of text 002, at their addresses."""
        for address in ADDRESSES:
            run("ip", "-n", self.netns, "address", "add", f"{address}/32", "dev", "vmbr0")
        server = subprocess.Popen(
            Machine.command(self, sys.executable, "-m", "tests.deploy.stack"),
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == b"all there\n"


@contextmanager
def hypervisor() -> Iterator[Hypervisor]:
    """One without containers yet."""
    name = f"ig-lxc-{os.getpid()}"
    # Not pytest's folder: root of the container, who is nobody here, has to get to its files.
    folder = Path(tempfile.mkdtemp(prefix="ig-lxc-", dir="/var/tmp"))
    folder.chmod(0o755)
    run("ip", "netns", "add", name)
    made = Hypervisor(name, folder)
    try:
        for words in (
            "link set lo up",
            "link add vmbr0 type bridge",
            "address add 10.0.0.1/24 dev vmbr0",
            "link set vmbr0 up",
        ):
            run("ip", "-n", name, *words.split())
        assert not run("ip", "-n", name, "route", "show", "default")
        yield made
    finally:
        for config in folder.glob("lxc/*/config"):
            made.sh(f"lxc-stop --kill -P {folder}/lxc -n {config.parent.name} || true")
        for server in made.servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        run("ip", "netns", "delete", name)
        shutil.rmtree(folder, ignore_errors=True)
