"""A real ACME authority for tests: pebble, with a DNS server that knows every name as 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from infergate.certificates.local_ca import certificate_for
from infergate.paths import Home
from tests.backends.servers import free_port


@dataclass(frozen=True)
class Authority:
    """Where it is, and how it is steered.

    directory: its URL. ca: of its own certificate. dns: the management URL of its DNS server.
    roots: the URL of the CA that it issues from.
    """

    directory: str
    ca: Path
    dns: str
    roots: str
    log: Path

    def root(self) -> str:
        """The CA of the certificates it issues, as PEM."""
        return httpx.get(self.roots, verify=_context(self.ca)).text

    def tell_dns(self, what: str, **values: object) -> None:
        """Change the DNS: `add-a`, `set-servfail`, `set-txt` and so on (pebble-challtestsrv)."""
        httpx.post(f"{self.dns}/{what}", json=values).raise_for_status()


def _context(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


@contextmanager
def authority(
    http_port: int,
    *,
    valid_s: int = 90 * 86400,
    host: str = "127.0.0.1",
    leads_to: str = "127.0.0.1",
) -> Iterator[Authority]:
    """A running pebble at `host`, which looks for http-01 answers at this port of `leads_to`."""
    folder = Path(tempfile.mkdtemp(prefix="ig-pebble-"))
    home = Home(folder)
    for each in (home.tls, home.public):
        each.mkdir()
    pem = certificate_for((host, "localhost"), home)
    port, management, dns, dns_management = (free_port() for _ in range(4))
    settings = {
        "listenAddress": f"{host}:{port}",
        "managementListenAddress": f"{host}:{management}",
        "certificate": str(pem),
        "privateKey": str(pem),
        "httpPort": http_port,
        "tlsPort": free_port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "certificateValidityPeriod": valid_s,
    }
    (folder / "config.json").write_text(json.dumps({"pebble": settings}))
    names = [
        *("-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{dns_management}"),
        *("-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""),
        *("-defaultIPv4", leads_to),
    ]
    # It refuses one of 20 good nonces, or as many as told: the library asks again, but only once.
    pebbles = {"VA_NOSLEEP": "1", "AUTHZREUSE": "0", "WFE_NONCEREJECT": "1"}
    environ = {**os.environ, **{f"PEBBLE_{name}": value for name, value in pebbles.items()}}
    with (folder / "log").open("wb") as log:
        commands = (
            ["pebble-challtestsrv", *names],
            ["pebble", "-config", "config.json", "-dnsserver", f"127.0.0.1:{dns}"],
        )
        processes = [
            subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environ)
            for command in commands
        ]
    found = Authority(
        directory=f"https://{host}:{port}/dir",
        ca=home.ca,
        dns=f"http://127.0.0.1:{dns_management}",
        roots=f"https://{host}:{management}/roots/0",
        log=folder / "log",
    )
    try:
        _wait(found)
        yield found
    finally:
        for process in processes:
            process.terminate()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(found: Authority) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(found.directory, verify=_context(found.ca)).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(found.log.read_text())
