"""A start alongside needs no port, and nobody else can reach it."""

from __future__ import annotations

from pathlib import Path

from infergate.changes.trial import on_sockets
from infergate.nginx.rendered import Rendered
from infergate.paths import Home

SITE = """
server {
    listen       127.0.0.1:80;
    listen       [::]:443 ssl;
    listen       [::]:443 quic reuseport;
    listen       *:8443 ssl default_server ipv6only=off;
    listen       "unix:/run/x.sock";
    server_name  api.test other.test;
}
server {
  listen 127.0.0.1:80;
}
"""


def test_every_address_becomes_a_unix_socket_in_the_folder(tmp_path: Path) -> None:
    files = Rendered({"site.conf": SITE, "njs/a.js": "listen 1;"}, {})
    moved, listeners = on_sockets(files, Home(tmp_path))
    text = moved.files["site.conf"]
    listens = [
        line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith("    listen")
    ]
    assert listens == [
        f'"unix:{tmp_path}/run/l0.sock";',
        f'"unix:{tmp_path}/run/l1.sock" ssl;',
        f'"unix:{tmp_path}/run/l2.sock" ssl default_server;',
        '"unix:/run/x.sock";',
    ]
    assert text.count("l0.sock") == 2
    assert [(each.address, each.tls, each.host) for each in listeners] == [
        ("127.0.0.1:80", False, "api.test"),
        ("[::]:443", True, "api.test"),
        ("*:8443", True, "api.test"),
    ]
    assert moved.files["njs/a.js"] == "listen 1;"
