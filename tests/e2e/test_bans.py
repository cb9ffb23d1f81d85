"""Bans of a real offender: another host, in network namespaces without a way out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infergate.errors import EngineError
from tests import fail2ban
from tests.gateway import until

GATEWAY, OFFENDER = "192.0.2.1", "192.0.2.2"  # RFC 5737: nobody's
PORT = 8080
ASK = """
import http.client, sys
try:
    c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=2)
    c.request("GET", "/v1/models", headers={"Authorization": "Bearer wrong"})
    print(c.getresponse().status)
except OSError as problem:
    print("no answer")
except http.client.HTTPException:
    print("no answer")
"""


def run(*command: str, check: bool = True, **options: object) -> str:
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, **options
    )
    if check and ran.returncode != 0:
        raise AssertionError(f"{command} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


@dataclass
class Scene:
    """A gateway in one namespace, and a host in another that can reach nothing else."""

    inside: str
    outside: str
    folder: Path
    powerless: bool = False
    """The gateway's processes have no CAP_NET_ADMIN: they could not change a packet filter."""

    def at_gateway(self, *command: str, check: bool = True) -> str:
        environ = {**os.environ, "INFERGATE_HOME": str(self.folder / "home"), "COLUMNS": "80"}
        dropped = ("setpriv", "--bounding-set=-net_admin") if self.powerless else ()
        return run("ip", "netns", "exec", self.inside, *dropped, *command, check=check, env=environ)

    def infergate(self, *command: str, check: bool = True) -> str:
        config = str(self.folder / "infergate.yaml")
        return self.at_gateway(
            sys.executable, "-m", "infergate", *command, "-c", config, check=check
        )

    def ask(self) -> str:
        """What the offender sees of a request with a wrong key."""
        command = (sys.executable, "-c", ASK, GATEWAY, str(PORT))
        return run("ip", "netns", "exec", self.outside, *command).strip()


@pytest.fixture
def scene() -> Iterator[Scene]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"ig-{side}-{os.getpid()}" for side in ("in", "out")]
    folder = Path(tempfile.mkdtemp(prefix="ig-"))
    folder.chmod(0o755)
    made = Scene(*names, folder)
    try:
        for name in names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run(
            "ip",
            "-n",
            names[0],
            "link",
            "add",
            "v0",
            "type",
            "veth",
            "peer",
            "v1",
            "netns",
            names[1],
        )
        for name, device, address in zip(names, ("v0", "v1"), (GATEWAY, OFFENDER), strict=True):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
            if run("ip", "-n", name, "route", "show", "default"):
                pytest.fail("the namespace has a default route: nothing is sent")
        yield made
    finally:
        if (folder / "infergate.yaml").exists():
            made.infergate("down", "--now", check=False)
        for name in names:
            run("ip", "netns", "delete", name, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def start(scene: Scene, bans: str) -> None:
    (scene.folder / "infergate.yaml").write_text(
        f"engine: embedded\nlisten: {GATEWAY}:{PORT}\nbackends: {{ a: http://127.0.0.1:9 }}\n"
        f"bans: {{ {bans} }}\n"
    )
    scene.infergate("up", "--detach")


@pytest.mark.parametrize("where", ["nftables", "nginx"])
def test_fail2ban_bans_and_unbans_an_offender(scene: Scene, where: str) -> None:
    try:
        root = fail2ban.unpacked()
    except EngineError as problem:
        pytest.skip(f"fail2ban and nft cannot be had here: {problem}")
    start(scene, "mode: off, offences: { wrong_key: 3 }")
    settings = scene.folder / "fail2ban"
    shutil.copytree(root / "etc/fail2ban", settings)
    (settings / "jail.d").mkdir(exist_ok=True)
    for other in (settings / "jail.d").iterdir():
        other.unlink()
    (settings / "fail2ban.local").write_text("[Definition]\ndbfile = None\n")
    scene.infergate("bans", "fail2ban", "-o", str(settings), f"--{where}")
    programs = f"{root}/bin:{os.environ['PATH']}"
    packages = f"{root}/usr/lib/python3/dist-packages:{os.environ.get('PYTHONPATH', '')}"
    environ = (f"PYTHONPATH={packages}", f"PATH={programs}")
    client_options = [
        *("-c", str(settings), "-s", str(scene.folder / "f2b.sock")),
        *("-p", str(scene.folder / "f2b.pid")),
    ]

    def client(*command: str) -> str:
        program = f"{root}/usr/bin/fail2ban-client"
        return scene.at_gateway("env", *environ, sys.executable, program, *client_options, *command)

    log = scene.folder / "f2b.log"
    server = subprocess.Popen(
        [
            *("ip", "netns", "exec", scene.inside, "env", *environ, sys.executable),
            f"{root}/usr/bin/fail2ban-server",
            *client_options,
            *("--logtarget", str(log), "-f", "-x", "start"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: "pong" in client_or_nothing(client, "ping"))
        assert [scene.ask() for _ in range(3)] == ["401"] * 3
        until(lambda: scene.ask() == "no answer")
        rules = scene.at_gateway(f"{root}/bin/nft", "list", "ruleset")
        ours = scene.infergate("bans", "list")
        assert [OFFENDER in rules, OFFENDER in ours] == [where == "nftables", where == "nginx"]
        assert OFFENDER in client("status", "infergate-wrong-key")
        client("unban", OFFENDER)
        until(lambda: scene.ask() == "401")
    except AssertionError:
        print(log.read_text() if log.exists() else "fail2ban wrote no log")
        raise
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def client_or_nothing(client, *command: str) -> str:
    try:
        return client(*command)
    except AssertionError:
        return ""


def test_the_gateway_bans_and_unbans_an_offender_without_a_packet_filter(scene: Scene) -> None:
    scene.powerless = True
    start(scene, "mode: block, offences: { wrong_key: 4, scanner: 4 }, duration: 10m")
    assert [scene.ask() for _ in range(4)] == ["401"] * 4
    until(lambda: scene.ask() == "no answer")
    pid = (scene.folder / "home/run/nginx.pid").read_text().strip()
    held = re.search(r"CapEff:\s*(\w+)", Path("/proc", pid, "status").read_text())
    assert held is not None
    assert not int(held[1], 16) >> 12 & 1, "CAP_NET_ADMIN"
    assert OFFENDER in scene.infergate("bans", "list")
    assert "wrong_key" in scene.infergate("bans", "list")
    scene.infergate("bans", "remove", OFFENDER)
    until(lambda: scene.ask() == "401")
    assert "ban.remove" in scene.infergate("audit", "log")
