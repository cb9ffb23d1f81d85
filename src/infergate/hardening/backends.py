"""Whether backends can be reached around the gateway.

Whoever reaches one needs no key, has no limits and is in no log. A backend of this machine tells by
what it listens on. One elsewhere is asked without its key: what it answers to us, it answers to all
who get as far.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.hardening.check import Check, bad, good, unknown

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h)
_TIMEOUT_S = 3.0
_ASKED_PATHS = ("/v1/models", "/api/tags", "/health")


def check_backends(
    config: Config,
    answers: Callable[[str], int | None],
    listening: Mapping[int, frozenset[str]] | None,
) -> Iterator[Check]:
    """Each backend and service. answers: the status of a GET, None for no answer.

    listening: addresses by port of this machine; None where it cannot be known.
    """
    targets = {**config.backends} | {
        f"service {name}": Backend(url=service.url) for name, service in config.services.items()
    }
    for name, backend in targets.items():
        check = f"exposed.{name.replace(' ', '.')}"
        if _is_local(backend.host):
            yield _local(check, name, backend, listening)
        elif not name.startswith("service "):  # services have logins of their own
            yield _elsewhere(check, name, backend, answers)


def _local(
    check: str, name: str, backend: Backend, listening: Mapping[int, frozenset[str]] | None
) -> Check:
    if listening is None:
        return unknown(check, f"what {name} listens on cannot be seen here")
    wide = sorted(
        each
        for each in listening.get(backend.port, frozenset())
        if not ipaddress.ip_address(each).is_loopback
    )
    if not wide:
        return good(check, "high", f"{name} is reached from this machine only")
    return bad(
        check,
        "high",
        f"{name} listens on {', '.join(wide)}, port {backend.port}: others reach it without a key",
        f"Let it listen on 127.0.0.1 (--host 127.0.0.1, OLLAMA_HOST=127.0.0.1:{backend.port}).",
    )


def _elsewhere(
    check: str, name: str, backend: Backend, answers: Callable[[str], int | None]
) -> Check:
    public = _is_public(backend.host)
    seen = [answers(backend.root_url + path) for path in _ASKED_PATHS]
    if not any(seen):
        return unknown(check, f"{name} ({backend.url}) did not answer")
    if all(status in (401, 403) for status in seen[:2] if status not in (None, 404)):
        if public and backend.scheme == "http":
            return bad(
                check, "high", f"{name}: its key crosses the internet in clear", "Use https for it."
            )
        return good(check, "high", f"{name} wants a key of its own")
    where = "from the whole internet" if public else "from its network"
    return bad(
        check,
        "high" if public else "medium",
        f"{name} ({backend.host}) answers without a key, {where}",
        "Let its firewall accept the gateway only, or give it a key: vllm serve --api-key, and"
        " api_key: under the backend.",
    )


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_public(host: str) -> bool:
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host.strip("[]"), None)}
    except (OSError, UnicodeError):
        return False
    return any(ipaddress.ip_address(each).is_global for each in found)


def ask(url: str) -> int | None:
    """The status of a GET without any key; None for no answer."""
    import httpx

    try:
        # No proxy's answer for a backend's; no certificate to trust, as nothing secret is sent.
        return httpx.get(url, timeout=_TIMEOUT_S, verify=False, trust_env=False).status_code  # noqa: S501
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def listening_addresses(folder: Path = Path("/proc/net")) -> Mapping[int, frozenset[str]] | None:
    """The addresses that programs of this machine listen on, by port; None but on Linux."""
    found: dict[int, set[str]] = {}
    for name in ("tcp", "tcp6"):
        try:
            lines = (folder / name).read_text().splitlines()[1:]
        except OSError:
            if name == "tcp":
                return None
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                found.setdefault(int(port, 16), set()).add(_address(address))
    return {port: frozenset(addresses) for port, addresses in found.items()}


def _address(text: str) -> str:
    """The kernel writes each 32 bits of it in the machine's own order of bytes."""
    words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(ipaddress.ip_address(packed))
