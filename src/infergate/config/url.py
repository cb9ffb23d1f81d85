"""Where a gateway is reached."""

from __future__ import annotations

from infergate.config.root import Config


def url_of(config: Config) -> str:
    """Where a client on this machine reaches the gateway."""
    listen = config.listen
    address = listen.https or listen.http or ""
    scheme = "https" if listen.https else "http"
    host, _, port = address.rpartition(":")
    if host in ("*", "0.0.0.0"):  # noqa: S104 - compared, not bound
        host = listen.hosts[0] if listen.https and listen.hosts else "127.0.0.1"
    usual = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"
