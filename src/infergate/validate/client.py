"""The gateway as a client on this machine sees it, with a key that is made for this and ends."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from infergate.admin.gateway import Gateway
from infergate.admin.keys import NewKey, create_key, revoke_key
from infergate.config.root import Config
from infergate.errors import InfergateError, UserError
from infergate.hardening.live import reachable
from infergate.validate.result import Failed

KEY_LIVES_S = 3600
"""It is revoked at the end; where that fails, it ends by itself."""

_TIMEOUT_S = 120.0
"""An engine may have to load the model first."""


def place(config: Config) -> tuple[str, str]:
    """The address that is asked, and the name in the request: scheme://host:port, host.

    Raises UserError where a client on this machine cannot ask.
    """
    listen = config.listen
    if listen.proxy_protocol:
        raise UserError(
            "the listener wants the PROXY protocol's line, which only the proxy before it sends",
            where="listen.proxy_protocol",
        )
    host, port = reachable(listen.https or listen.http or "")
    shown = f"[{host}]" if ":" in host else host
    name = next((each for each in listen.hosts if "*" not in each), shown)
    return f"{'https' if listen.https else 'http'}://{shown}:{port}", name


def asking(config: Config, key: str | None = None, host: str | None = None) -> httpx.Client:
    """A client of the gateway. host: of a service that has one. The certificate is looked at
    elsewhere (hardening/live.py); to ask by an address, it cannot be compared."""
    url, name = place(config)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"host": host or name, "user-agent": "infergate-validate"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return httpx.Client(
        base_url=url, headers=headers, verify=context, timeout=_TIMEOUT_S, trust_env=False
    )


@contextmanager
def key_for_this(gateway: Gateway, given: str | None) -> Iterator[str | None]:
    """The given key; else one that is made and revoked afterwards; None where none is wanted."""
    if given is not None or not gateway.loaded.config.auth.required:
        yield given
        return
    name = f"validate-{secrets.token_hex(4)}"
    made = create_key(gateway, NewKey(name=name, expires_at=int(time.time()) + KEY_LIVES_S))
    try:
        yield made.key
    finally:
        with suppress(InfergateError):
            revoke_key(gateway, name)


def answer(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    """What it says. Raises Failed if it says nothing."""
    try:
        return client.request(method, path, **more)
    except httpx.HTTPError as problem:
        raise Failed(f"{method} {path}: {problem or type(problem).__name__}") from None


def good(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    """The same, if the status is 2xx. Raises Failed with the beginning of the answer otherwise."""
    got = answer(client, method, path, **more)
    if not got.is_success:
        raise Failed(f"{method} {path}: {got.status_code} {got.text[:200]!r}")
    return got
