"""A page of another site in a real browser uses the API where `cors` names it, and only there."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.backends.servers import scripted
from tests.e2e.browser import browser
from tests.gateway import Gateway, gateway

SCRIPT = """
const [url, key, stream] = arguments, done = arguments[arguments.length - 1];
const body = {model: 'm', stream, messages: [{role: 'user', content: 'hi'}]};
const headers = {'Content-Type': 'application/json'};
if (key) headers['Authorization'] = 'Bearer ' + key;
fetch(url, {method: 'POST', headers, body: JSON.stringify(body)}).then(async (answer) => done({
    status: answer.status, text: await answer.text(),
    id: answer.headers.get('x-infergate-request-id')})
).catch((error) => done({error: String(error)}));
"""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    """The port of a site that is another one than the gateway."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def front(engine: str, pages: int) -> Iterator[Gateway]:
    with ExitStack() as stack:
        backend = stack.enter_context(scripted())
        origins = f"http://chat.localhost:{pages}"
        config = f"backends: {{ a: {backend.url} }}\ncors: {{ origins: ['{origins}'] }}\n"
        yield stack.enter_context(gateway(engine, config))


def test_a_page_that_is_named_uses_the_api(front: Gateway, pages: int) -> None:
    url = f"http://api.localhost:{front.port}/v1/chat/completions"
    with browser() as chrome:
        chrome.set_script_timeout(120)
        chrome.get(f"http://chat.localhost:{pages}/")
        answer = chrome.execute_async_script(SCRIPT, url, front.key, False)
        assert answer["status"] == 200, answer
        assert "chat.completion" in answer["text"]
        assert answer["id"]
        stream = chrome.execute_async_script(SCRIPT, url, front.key, True)
        assert stream["text"].rstrip().endswith("data: [DONE]")
        refused = chrome.execute_async_script(SCRIPT, url, "wrong", False)
        assert (refused["status"], "invalid_api_key" in refused["text"]) == (401, True)
        chrome.get(f"http://other.localhost:{pages}/")
        hidden = chrome.execute_async_script(SCRIPT, url, front.key, False)
        assert "Failed to fetch" in hidden["error"]
