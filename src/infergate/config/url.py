"""Where a gateway and its page are reached."""

from __future__ import annotations

from infergate.config.addresses import is_loopback
from infergate.config.root import Config


def url_of(config: Config) -> str:
    """Where a client on this machine reaches the gateway."""
    scheme, host, port = _listener(config)
    if config.listen.hosts:  # other names are refused
        host = config.listen.hosts[0]
    usual = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"


def own_url_of(config: Config) -> tuple[str, str]:
    """The gateway's own listener by its address, whatever a name server says of its names; and the
    name to ask for there."""
    scheme, host, port = _listener(config)
    return f"{scheme}://{host}:{port}", config.listen.hosts[0] if config.listen.hosts else host


def _listener(config: Config) -> tuple[str, str, str]:
    """Its scheme, its address as this machine reaches it, its port."""
    listen = config.listen
    address = listen.https or listen.http or ""
    host, _, port = address.rpartition(":")
    if host in ("*", "0.0.0.0"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return "https" if listen.https else "http", host, port


def page_url_of(config: Config) -> str | None:
    """Where a browser on this machine reaches the page; None where it does not."""
    listen = config.admin.listen
    if listen is None or not config.admin.page:
        return None
    host, _, port = listen.rpartition(":")
    if host in ("*", "0.0.0.0"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"{'http' if is_loopback(listen) else 'https'}://{host or '127.0.0.1'}:{port}/"
