"""The eight backends of text 002 as doubles at their addresses, in whatever network this runs in.

    python -m tests.deploy.stack

Qdrant, n8n, Open WebUI and Portainer answer the few calls by which their clients know them.
"""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.backends.private_ca import PrivateCa
from tests.backends.qdrant_double import qdrant_double
from tests.backends.web_service import accept_websocket

SCRIPTED = Path(__file__).parents[1] / "backends/scripted.py"
ENGINES = (
    ("10.0.0.150", 8000, "vllm", "qwen3"),
    ("10.0.0.151", 8000, "vllm", "bge-m3"),
    ("10.0.0.155", 11434, "ollama", "llama3"),
    ("10.0.0.157", 8081, "llamacpp", "gemma3"),
)
QDRANT, N8N, WEBUI, PORTAINER = "10.0.0.152", "10.0.0.154", "10.0.0.156", "10.0.0.99"
ADDRESSES = (*(each[0] for each in ENGINES), QDRANT, N8N, WEBUI, PORTAINER)


class _Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        match self.server.server_address[1], path:
            case 5678, _ if path.startswith("/webhook/"):
                what = f'The requested webhook "{self.command} {path}" is not registered.'
                self._send(404, json.dumps({"code": 404, "message": what}))
            case 5678, "/":
                self._send(200, "<title>n8n.io - Workflow Automation</title>")
            case 8080, "/api/config":
                self._send(200, json.dumps({"status": True, "name": "Open WebUI"}))
            case 8080, "/ws/socket.io/":
                accept_websocket(self)
            case 9443, "/api/status":
                self._send(200, json.dumps({"Version": "2.33.0", "InstanceID": "double"}))
            case _, "/":
                self._send(200, "<title>a double</title>")
            case _:
                self._send(404, "{}")

    do_GET = do_POST = _answer

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the test's terminal."""


def _serve(address: str, port: int, folder: Path | None = None) -> None:
    server = http.server.ThreadingHTTPServer((address, port), _Service)
    server.daemon_threads = True
    if folder is not None:
        pair = PrivateCa(folder).issue("portainer")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    for address, port, engine, model in ENGINES:
        options = ["--host", address, "--port", str(port), "--engine", engine, "--models", model]
        subprocess.Popen([sys.executable, str(SCRIPTED), *options, "--name", model])
    with tempfile.TemporaryDirectory() as folder, qdrant_double(QDRANT, 6333, api_key=None):
        _serve(N8N, 5678)
        _serve(WEBUI, 8080)
        _serve(PORTAINER, 9443, Path(folder))
        print("all there", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
