"""Where a gateway is reached."""

from __future__ import annotations

from infergate.config.root import Config


def url_of(config: Config) -> str:
    """Where a client on this machine reaches the gateway."""
    listen = config.listen
    address = listen.https or listen.http or ""
    scheme = "https" if listen.https else "http"
    host, _, port = address.rpartition(":")
    if listen.hosts:  # other names are refused
        host = listen.hosts[0]
    elif host in ("*", "0.0.0.0"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    usual = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"
