"""A machine for containers, as far as the network goes: a namespace without a way out."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy import tools

SCRIPTED = Path(__file__).parents[1] / "backends/scripted.py"
CONTAINER = "ollama_nginx_gateway"


def run(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, f"{command} failed:\n{ran.stdout}{ran.stderr}"
    return ran.stdout


@dataclass
class Machine:
    """Shell commands run on it as printed; what they call `docker` is podman."""

    netns: str
    folder: Path
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.netns}", *words]

    def sh(self, script: str, *, code: int = 0, timeout_s: float = 300) -> str:
        """What a script prints, both ways; it must end with this code."""
        ran = subprocess.run(
            self.command("bash", "-euo", "pipefail", "-c", script),
            cwd=self.folder,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert ran.returncode == code, f"{script}\nended with {ran.returncode}:\n{ran.stdout}"
        return ran.stdout

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A command that goes on; its output can be read."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def environ(self) -> dict[str, str]:
        environ = tools.environment()
        return {**environ, "PATH": f"{environ['PATH']}:{Path(sys.executable).parent}"}

    def ollama(self, address: str, name: str, *models: str) -> None:
        """A double of an Ollama server at an address of this machine, port 11434."""
        run("ip", "-n", self.netns, "address", "add", f"{address}/32", "dev", "lo")
        options = ["--host", address, "--port", "11434", "--engine", "ollama", "--name", name]
        command = [sys.executable, str(SCRIPTED), *options, "--models", ",".join(models)]
        self.servers.append(self.start(*command))

    def status(self, key: str, path: str = "/v1/models") -> str:
        """The code of the gateway's answer."""
        url = f"http://127.0.0.1:8080{path}"
        ask = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {key}' {url}"
        return self.sh(f"{ask} || true")


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """One at a time: containers have names."""
    name = f"ig-deploy-{os.getpid()}"
    with (tools.HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("ip", "netns", "add", name)
        made = Machine(name, folder)
        try:
            run("ip", "-n", name, "link", "set", "lo", "up")
            assert not run("ip", "-n", name, "route", "show", "default")
            _clear(made)
            yield made
        finally:
            _clear(made)
            _end(made.servers)
            run("ip", "netns", "delete", name)


def _clear(machine: Machine) -> None:
    machine.sh("docker rm --force --time 0 --all; docker volume rm --all --force")
    machine.sh("docker network prune --force")


def _end(servers: Sequence[subprocess.Popen[bytes]]) -> None:
    for server in servers:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
