"""Real Ray on two machines that are network namespaces, started as the units of `deploy serve` do,
and a third namespace for the gateway. None of them has a way out."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.backends.cache import python_of

HERE = Path(__file__).parent
NODES = ("10.88.0.1", "10.88.0.2")
_CLONE_NEWNET = 0x40000000
# Small machines: Ray takes a third of the memory otherwise, and one worker for each processor.
_SMALL = ("--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats")
_ENVIRON = {
    "RAY_enable_metrics_collection": "0",
    # A busy machine: a node is given up when it is gone, and not when it is slow.
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_gcs_server_request_timeout_seconds": "120",
    "RAY_health_check_timeout_ms": "120000",
}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=60)


@contextmanager
def inside(netns: str) -> Iterator[None]:
    """What this thread opens and starts meanwhile is in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as own, Path(f"/run/netns/{netns}").open() as new:
        assert libc.setns(new.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(own.fileno(), _CLONE_NEWNET) == 0


@dataclass
class Cluster:
    """folder: what `deploy serve` wrote. netns: of the gateway."""

    folder: Path
    scratch: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def netns(self) -> str:
        return f"ig-ray-{os.getpid()}"

    def of(self, node: str) -> str:
        """The namespace of a node."""
        return f"{self.netns}-{NODES.index(node)}"

    def on(self, node: str, *command: str) -> list[str]:
        """A command in a node's namespace."""
        return ["nsenter", f"--net=/run/netns/{self.of(node)}", *command]

    def environ(self) -> dict[str, str]:
        paths = f"{python_of('ray').parent}{os.pathsep}{os.environ['PATH']}"
        token = (self.folder / "ray/ray.env").read_text().splitlines()[1:]
        own = dict(line.split("=", 1) for line in token)
        own |= {"PYTHONPATH": str(HERE / "backends"), "PATH": paths, "HOME": str(self.scratch)}
        return {**os.environ, **_ENVIRON, "RAY_USAGE_STATS_ENABLED": "0", **own}

    def start(self, node: str) -> None:
        """A node, by its unit's ExecStart."""
        unit = (self.folder / "ray" / node / "infergate-ray.service").read_text()
        line = next(each for each in unit.splitlines() if each.startswith("ExecStart="))
        command = [*shlex.split(line.removeprefix("ExecStart=")), *_SMALL]
        if "--head" in command:
            command.append(f"--temp-dir={self.scratch}/r")
        with (self.scratch / f"{node}.log").open("ab") as log:
            self.running[node] = subprocess.Popen(
                self.on(node, *command),
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def comes_up(self, node: str, timeout_s: float) -> bool:
        """Whether it joins; one that gives up is started again, as systemd does (Restart)."""
        deadline = time.monotonic() + timeout_s
        while node not in self.nodes():
            if time.monotonic() > deadline:
                return False
            if self.running[node].poll() is not None:
                self.kill(node)
                self.start(node)
            time.sleep(0.5)
        return True

    def ray(self, *command: str) -> str:
        """A command on the first node; what it says, and "" if it failed."""
        program = str(python_of("ray").parent / command[0])
        ran = subprocess.run(
            self.on(NODES[0], program, *command[1:]),
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return ran.stdout if ran.returncode == 0 else ""

    def nodes(self) -> dict[str, str]:
        """address → id, of those that are alive, by Ray's own state API: its command takes seconds
        to start."""
        url = "http://127.0.0.1:8265/api/v0/nodes"
        token = self.environ()["RAY_AUTH_TOKEN"]
        ran = subprocess.run(
            self.on(NODES[0], "curl", "-s", "-H", f"Authorization: Bearer {token}", url),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        try:
            listed = json.loads(ran.stdout)["data"]["result"]["result"]
        except (ValueError, TypeError, KeyError):
            return {}
        return {each["node_ip"]: each["node_id"] for each in listed if each["state"] == "ALIVE"}

    def kill(self, node: str) -> None:
        """As a pulled plug: everything of a node at once."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.of(node)], capture_output=True, text=True, check=False
        )
        for pid in found.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if node in self.running:
            self.running.pop(node).wait(60)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """The namespaces; nothing runs yet. Everything in them is killed at the end."""
    scratch = Path(tempfile.mkdtemp(prefix="igr-"))  # short: Ray's sockets are below it
    made = Cluster(folder, scratch)
    spaces = [made.netns, *(made.of(node) for node in NODES)]
    try:
        for netns in spaces:
            ip("netns", "add", netns)
            ip("-n", netns, "link", "set", "lo", "up")
        bridge = ("-n", made.netns)
        ip(*bridge, "link", "add", "br0", "type", "bridge")
        ip(*bridge, "address", "add", "10.88.0.254/24", "dev", "br0")
        ip(*bridge, "link", "set", "br0", "up")
        for node in NODES:
            other, port = made.of(node), f"n{NODES.index(node)}"
            peer = ("peer", "name", "eth0", "netns", other)
            ip(*bridge, "link", "add", port, "type", "veth", *peer)
            ip(*bridge, "link", "set", port, "master", "br0", "up")
            ip("-n", other, "address", "add", f"{node}/24", "dev", "eth0")
            ip("-n", other, "link", "set", "eth0", "up")
        yield made
    finally:
        for node in NODES:
            made.kill(node)
        for netns in spaces:
            subprocess.run(["ip", "netns", "delete", netns], check=False)
        if sys.exc_info()[0] is None:
            shutil.rmtree(scratch, ignore_errors=True)
