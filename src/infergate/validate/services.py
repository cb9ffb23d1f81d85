"""The services next to the models, each driven as its own clients do.

What a service is, it says itself: by the document at a path that its product is known for. One
that is none of these has to answer.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

from infergate.admin.gateway import Gateway
from infergate.config.services import Service
from infergate.validate.client import answer, asking, good
from infergate.validate.result import Failed, Result, Skipped, Verdict, checking

SUITE = "acceptance"
_WEBSOCKET_MARK = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def check_services(gateway: Gateway, key: str | None, found: list[Result]) -> None:
    """A result for each."""
    for name, service in gateway.loaded.config.services.items():
        kind = ""
        with checking(SUITE, f"service.{name}", found) as verdict:
            if service.is_grpc:
                raise Skipped("speaks gRPC, which nothing here does")
            with asking(gateway.loaded.config, _key_of(service, key), service.host) as client:
                ask = _Below(client, (service.path or "").rstrip("/"))
                if service.auth in ("basic", "forward"):
                    _refuses(ask, service.auth)
                kind, drive = _known(ask)
                drive(ask, verdict)
            verdict.said = f"{kind}: {verdict.said}"


def _key_of(service: Service, key: str | None) -> str | None:
    return key if service.auth == "key" else None


class _Below:
    """A service of the gateway, by its own paths."""

    def __init__(self, client: httpx.Client, prefix: str) -> None:
        self._client, self._prefix = client, prefix

    def answer(self, method: str, path: str, **more: Any) -> httpx.Response:
        return answer(self._client, method, self._prefix + path, **more)

    def good(self, method: str, path: str, **more: Any) -> Any:
        """The document of a 2xx. Raises Failed."""
        return _document(good(self._client, method, self._prefix + path, **more))

    def document(self, path: str) -> Any:
        """What is there as JSON; None if there is none."""
        got = self.answer("GET", path)
        return _document(got) if got.is_success else None


def _document(got: httpx.Response) -> Any:
    try:
        return got.json()
    except ValueError:
        return None


def _refuses(ask: _Below, auth: str) -> None:
    """Its passwords are nobody's to know here; that it wants one can be seen. Never returns."""
    got = ask.answer("GET", "/")
    if got.status_code not in (302, 303, 307, 401, 403):
        raise Failed(f"auth is {auth}, and a stranger's GET / is answered {got.status_code}")
    raise Skipped(f"refuses strangers ({got.status_code}); what is behind needs a login")


def _known(ask: _Below) -> tuple[str, Callable[[_Below, Verdict], None]]:
    """What it is, and what drives that."""
    root = ask.answer("GET", "/")
    if root.status_code >= 500:
        raise Failed(f"GET /: {root.status_code} {root.text[:200]!r}")
    start = _document(root)
    if isinstance(start, dict) and "qdrant" in str(start.get("title", "")):
        return "Qdrant", _qdrant
    if _has(ask.document("/api/v2/heartbeat"), "nanosecond heartbeat"):
        return "Chroma", _chroma
    if _has(ask.document("/api/config"), "name") and "WebUI" in str(ask.document("/api/config")):
        return "Open WebUI", _open_webui
    if _has(ask.document("/rest/settings"), "data") or "n8n" in root.text[:20_000]:
        return "n8n", _n8n
    if _has(ask.document("/api/status"), "InstanceID"):
        return "Portainer", lambda ask, verdict: _said(verdict, ask.document("/api/status"))
    return "a service", lambda _, verdict: _said(verdict, f"GET /: {root.status_code}")


def _has(document: Any, name: str) -> bool:
    return isinstance(document, dict) and name in document


def _said(verdict: Verdict, what: object) -> None:
    verdict.said = str(what)[:120]


def _qdrant(ask: _Below, verdict: Verdict) -> None:
    """A collection of its own: two vectors in, the nearer one found, all of it away again."""
    name = f"/collections/infergate-validate-{secrets.token_hex(4)}"
    ask.good("PUT", name, json={"vectors": {"size": 2, "distance": "Dot"}})
    try:
        points = [{"id": 1, "vector": [1.0, 0.0]}, {"id": 2, "vector": [0.0, 1.0]}]
        ask.good("PUT", f"{name}/points?wait=true", json={"points": points})
        asked = {"query": {"nearest": [0.1, 0.9]}, "limit": 1}
        found = ask.good("POST", f"{name}/points/query", json=asked)
        ids = [each.get("id") for each in (found or {}).get("result", {}).get("points", [])]
        if ids != [2]:
            raise Failed(f"of two vectors the search found {ids}, the nearest is 2")
    finally:
        ask.answer("DELETE", name)
    verdict.said = "two vectors upserted, the nearest one found"


def _chroma(ask: _Below, verdict: Verdict) -> None:
    """The same in Chroma's words."""
    base = "/api/v2/tenants/default_tenant/databases/default_database/collections"
    name = f"infergate-validate-{secrets.token_hex(4)}"
    made = ask.good("POST", base, json={"name": name}) or {}
    try:
        vectors = {"ids": ["a", "b"], "embeddings": [[1.0, 0.0], [0.0, 1.0]]}
        ask.good("POST", f"{base}/{made.get('id')}/upsert", json=vectors)
        asked = {"query_embeddings": [[0.1, 0.9]], "n_results": 1}
        found = ask.good("POST", f"{base}/{made.get('id')}/query", json=asked) or {}
        if found.get("ids") != [["b"]]:
            raise Failed(f"of two vectors the search found {found.get('ids')}, the nearest is b")
    finally:
        ask.answer("DELETE", f"{base}/{name}")
    verdict.said = "two vectors upserted, the nearest one found"


def _n8n(ask: _Below, verdict: Verdict) -> None:
    """A webhook that nobody has made: n8n itself has to say so, and that takes all of the way."""
    path = f"/webhook/infergate-validate-{secrets.token_hex(4)}"
    got = ask.answer("POST", path, json={"from": "infergate validate"})
    if got.status_code != 404 or "webhook" not in got.text.lower():
        raise Failed(f"POST {path}: {got.status_code} {got.text[:200]!r}, n8n says it knows none")
    verdict.said = "a webhook arrives"


def _open_webui(ask: _Below, verdict: Verdict) -> None:
    """The WebSocket that its pages open."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    began = time.monotonic()
    got = ask.answer("GET", "/ws/socket.io/?EIO=4&transport=websocket", headers=headers)
    accepted = hashlib.sha1(key.encode() + _WEBSOCKET_MARK, usedforsecurity=False).digest()
    if got.status_code != 101:
        raise Failed(f"the WebSocket: {got.status_code} {got.text[:200]!r}")
    if got.headers.get("sec-websocket-accept") != base64.b64encode(accepted).decode():
        raise Failed("the WebSocket's answer is not to this question")
    verdict.said = f"a WebSocket stands after {(time.monotonic() - began) * 1000:.0f} ms"
