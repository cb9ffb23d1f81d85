"""A Debian in which nothing was installed yet: a root file system and a network of its own, with a
way out for apt and pip, and none to this machine's own addresses.

No systemd: what it starts ends with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy import rootfs
from tests.deploy.machine import run
from tests.gateway import until

_CHROOT = 'mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
_WAY_OUT = ["slirp4netns", "--configure", "--disable-host-loopback", "--netns-type=path"]


@dataclass
class Fresh:
    """Where scripts run as a user of its own."""

    netns: str
    root: Path

    def command(self, script: str, user: str) -> list[str]:
        """In a process namespace that ends with the script, with all that it left."""
        inside = ["nsenter", f"--net=/run/netns/{self.netns}", "unshare", "--mount", "--pid"]
        shell = ["su", "-", user, "-s", "/bin/bash", "--session-command", script]
        return [*inside, "--fork", "--kill-child", "sh", "-c", _CHROOT, str(self.root), *shell]

    def sh(self, script: str, *, user: str = "root", code: int = 0, timeout_s: float = 900) -> str:
        """What a script prints, both ways; it must end with this code."""
        ran = subprocess.run(
            self.command(script, user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
            env=_environ(),
        )
        assert ran.returncode == code, f"{script}\nended with {ran.returncode}:\n{ran.stdout}"
        return ran.stdout

    @contextmanager
    def on_a_terminal(self, script: str, says: str, *, user: str) -> Iterator[re.Match[str]]:
        """A command that goes on, once it said what matches. Ctrl-C ends it."""
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            self.command(script, user),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # where ^C is a signal
            env=_environ(),
        )
        os.close(theirs)
        try:
            yield _wait_for(ours, says)
            os.write(ours, b"\x03")
            with contextlib.suppress(OSError):  # nobody has the other end any more
                while os.read(ours, 4096):
                    pass
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)
            os.close(ours)


def _wait_for(terminal: int, says: str) -> re.Match[str]:
    said = ""
    while not (found := re.search(says, said, re.DOTALL)):
        try:
            said += os.read(terminal, 4096).decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            raise AssertionError(f"it never said {says!r}:\n{said}") from None
    return found


def _environ() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


@contextmanager
def fresh(suite: str) -> Iterator[Fresh]:
    """One of a release, of which this machine has the tarball."""
    name = f"ig-fresh-{suite}-{os.getpid()}"
    root = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/var/tmp"))
    run("ip", "netns", "add", name)
    way_out = None
    try:
        run("tar", "-C", str(root), "--numeric-owner", "-xf", str(rootfs.fresh(suite)))
        root.chmod(0o755)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        # Whoever stands between this machine and its registries is trusted in there, too.
        shutil.copy(rootfs.CA, root / "etc/ssl/machine.crt")
        (root / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/machine.crt\n")
        run("ip", "-n", name, "link", "set", "lo", "up")
        way_out = subprocess.Popen([*_WAY_OUT, f"/run/netns/{name}", "tap0"])
        until(lambda: run("ip", "-n", name, "route", "show", "default"))
        yield Fresh(name, root)
    finally:
        if way_out is not None:
            way_out.terminate()
            way_out.wait(60)
        run("ip", "netns", "delete", name)
        shutil.rmtree(root, ignore_errors=True)
