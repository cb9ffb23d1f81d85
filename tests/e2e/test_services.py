"""Real services: n8n in a real browser, a vector database with its own client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.backends.cache import python_of
from tests.backends.qdrant_double import API_KEY, qdrant_double
from tests.backends.servers import HERE, available, chroma, n8n, scripted
from tests.e2e.browser import browser
from tests.gateway import gateway, until

OWNER = {
    "email": "owner@example.com",
    "firstName": "Ada",
    "lastName": "Owner",
    "password": "Correct-Horse-7",
}


def _websockets(chrome: webdriver.Chrome) -> list[tuple[str, str]]:
    """(event, url or status) of WebSockets since the last call."""
    found = []
    for entry in chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.webSocketCreated":
            found.append(("created", message["params"]["url"]))
        elif message["method"] == "Network.webSocketHandshakeResponseReceived":
            found.append(("status", str(message["params"]["response"]["status"])))
        elif message["method"] == "Network.webSocketFrameReceived":
            found.append(("frame", message["params"]["response"]["payloadData"][:80]))
    return found


def test_n8n_in_a_real_browser_with_its_websocket(engine: str, tmp_path: Path) -> None:
    if reason := available("n8n"):
        pytest.skip(reason)
    with (
        n8n(tmp_path) as it,
        scripted() as backend,
        gateway(
            engine,
            f"backends: {{ a: {backend.url} }}\n"
            "limits: { per_ip: { rate: 10r/s, burst: 20 } }\n"
            f"services: {{ n8n: {{ url: {it.url}, host: n8n.localhost, auth: none }} }}\n",
        ) as front,
        browser() as chrome,
    ):
        home = f"http://n8n.localhost:{front.port}"
        until(lambda: _is_set_up(front.port))
        chrome.get(home + "/signin")
        wait = WebDriverWait(chrome, 90)
        wait.until(lambda c: c.find_elements(By.CSS_SELECTOR, "input[type=password]"))
        fields = chrome.find_elements(By.CSS_SELECTOR, "form input, input")
        fields[0].send_keys(OWNER["email"])
        chrome.find_element(By.CSS_SELECTOR, "input[type=password]").send_keys(OWNER["password"])
        chrome.find_element(
            By.CSS_SELECTOR, "form button, [data-test-id=form-submit-button]"
        ).click()
        wait.until(lambda c: "/signin" not in c.current_url)
        seen: list[tuple[str, str]] = []
        chrome.get(home + "/workflow/new")
        wait.until(lambda c: seen.extend(_websockets(c)) or ("status", "101") in seen)
        address = next(what for event, what in seen if event == "created")
        assert address.startswith(f"ws://n8n.localhost:{front.port}/rest/push")
        assert wait.until(
            lambda c: c.find_elements(By.CSS_SELECTOR, "[data-test-id=canvas-wrapper]")
        )
        refused = [line for line in front.log() if line["status"] in (403, 429, 502, 504)]
        assert refused == []


def _is_set_up(port: int) -> bool:
    """Make n8n's first account, through the gateway."""
    headers = {"Host": f"n8n.localhost:{port}"}
    answer = httpx.post(
        f"http://127.0.0.1:{port}/rest/owner/setup", json=OWNER, headers=headers, timeout=30
    )
    return answer.status_code == 200


def test_qdrant_s_own_client_below_a_path_with_our_key_and_not_its_own(engine: str) -> None:
    with (
        qdrant_double() as url,
        scripted() as backend,
        gateway(
            engine,
            f"backends: {{ a: {backend.url} }}\n"
            f"services: {{ qdrant: {{ url: {url}, path: /qdrant/, api_key: {API_KEY} }} }}\n",
        ) as front,
    ):

        def client(key: str) -> QdrantClient:
            return QdrantClient(url=front.url, prefix="qdrant", api_key=key, https=False)

        ours = client(front.key)
        vectors = models.VectorParams(size=3, distance=models.Distance.DOT)
        assert ours.create_collection("texts", vectors)
        points = {"a cat": [1.0, 0.1, 0.0], "a kitten": [0.9, 0.2, 0.0], "bonds": [0.0, 0.1, 1.0]}
        ours.upsert(
            "texts",
            [
                models.PointStruct(id=number, vector=vector, payload={"text": text})
                for number, (text, vector) in enumerate(points.items())
            ],
        )
        found = ours.query_points("texts", query=[1.0, 0.0, 0.0], limit=2).points
        assert [each.payload for each in found] == [{"text": "a cat"}, {"text": "a kitten"}]
        with pytest.raises(UnexpectedResponse) as refused:
            client(API_KEY).get_collections()
        assert refused.value.status_code == 401


def test_chroma_s_own_client_below_a_path_with_a_key(engine: str, tmp_path: Path) -> None:
    if reason := available("chroma"):
        pytest.skip(reason)
    with (
        chroma(tmp_path) as it,
        scripted() as backend,
        gateway(
            engine,
            f"backends: {{ a: {backend.url} }}\n"
            f"services: {{ chroma: {{ url: {it.url}, path: /chroma/ }} }}\n",
        ) as front,
    ):
        said = _client(front.port, front.key)
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout) == {"count": 3, "ids": ["cat", "kitten"]}
        assert _client(front.port, "wrong").returncode != 0


def _client(port: int, key: str) -> subprocess.CompletedProcess[str]:
    command = [str(python_of("chroma")), str(HERE / "chroma_client.py"), str(port), "/chroma", key]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
