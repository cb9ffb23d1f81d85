"""A double of Qdrant, whose server no package registry has: a few calls of its documented REST API.

https://api.qdrant.tech. Collections of dense vectors under the dot product; it wants its api-key.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

API_KEY = "sesame"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    collections: dict[str, dict[Any, dict[str, Any]]]
    api_key: str | None

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.api_key is not None and self.headers.get("api-key") != self.api_key:
            self._send(401, {"status": {"error": "Must provide an API key"}})
            return
        asked = json.loads(body) if body else {}
        match self.command, self.path.partition("?")[0].strip("/").split("/"):
            case "GET", [""]:
                self._send(200, {"title": "qdrant - vector search engine", "version": "1.16.0"})
            case "GET", ["collections"]:
                self._done({"collections": [{"name": name} for name in self.collections]})
            case "PUT", ["collections", name]:
                self.collections[name] = {}
                self._done(True)
            case "PUT", ["collections", name, "points"]:
                self.collections[name] |= {each["id"]: each for each in asked["points"]}
                self._done({"operation_id": 0, "status": "completed"})
            case _, ["collections", name, *_] if name not in self.collections:
                self._send(404, {"status": {"error": f"Not found: Collection `{name}`"}})
            case "POST", ["collections", name, "points", "query"]:
                self._done({"points": self._nearest(name, asked)})
            case _:
                self._send(404, {"status": {"error": f"Not found: {self.path}"}})

    do_GET = do_PUT = do_POST = _answer

    def _nearest(self, name: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """A query is a vector, or {"nearest": one}; a payload is told where it is asked for."""
        query = asked["query"]
        vector = query["nearest"] if isinstance(query, dict) else query
        found = [
            {
                "id": each["id"],
                "version": 0,
                "score": sum(a * b for a, b in zip(vector, each["vector"], strict=True)),
                "payload": each.get("payload") if asked.get("with_payload") else None,
            }
            for each in self.collections[name].values()
        ]
        return sorted(found, key=lambda each: -each["score"])[: asked["limit"]]

    def _done(self, result: object) -> None:
        self._send(200, {"result": result, "status": "ok", "time": 0.001})

    def _send(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the test's terminal."""


@contextlib.contextmanager
def qdrant_double(
    host: str = "127.0.0.1", port: int = 0, api_key: str | None = API_KEY
) -> Iterator[str]:
    """Its URL, on a free loopback port where nothing else is said."""
    handler = type("Handler", (_Handler,), {"collections": {}, "api_key": api_key})
    server = http.server.ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
