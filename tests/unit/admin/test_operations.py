"""What the API does is what the command line does, and the audit log says who did it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from infergate.store.secrets import key_hash
from infergate.store.usage import Sums, UsageGroup, add_usage
from tests.admin_api import Served
from tests.gateway import run_here


@pytest.fixture
def client(api: Served) -> httpx.Client:
    return httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {api.full}"})


def pages(client: httpx.Client, path: str, **query: Any) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    after: dict[str, Any] = {}
    while True:
        page = client.get(path, params={**query, **after}).raise_for_status().json()
        found.append(page["items"])
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def test_a_key_lives_and_ends_as_on_the_command_line(client: httpx.Client, api: Served) -> None:
    body = {"name": "ci", "limits": {"requests_per_minute": 5}, "models": ["m"], "weight": 2}
    made = client.post("/v1/keys", json=body).raise_for_status().json()
    assert made["key"].startswith("sk-ig-")
    assert body.items() <= made.items()
    assert "priority" not in made, "only what was said"
    snapshot = api.gateway.home.keys_snapshot.read_text()
    assert key_hash(made["key"]) in snapshot, "it is active"
    shown = client.get("/v1/keys/ci").json()
    assert shown["id"] == made["id"]
    assert "key" not in shown
    rotated = client.post("/v1/keys/ci/rotate", json={"grace_s": 0}).json()
    assert rotated["key"] != made["key"]
    assert client.post("/v1/keys/ci/revoke").json()["revoked_at"] is not None
    assert key_hash(rotated["key"]) not in api.gateway.home.keys_snapshot.read_text()
    who = {each["who"] for each in client.get("/v1/audit", params={"limit": 3}).json()["items"]}
    assert who == {"token full"}


def test_pages_have_every_entry_once_in_the_same_order(client: httpx.Client) -> None:
    names = [f"page-{number:02}" for number in range(7)]
    for name in reversed(names):
        client.post("/v1/keys", json={"name": name}).raise_for_status()
        client.post("/v1/teams", json={"name": name}).raise_for_status()
        client.put(f"/v1/policies/{name}", json={}).raise_for_status()
    keys = pages(client, "/v1/keys", limit=3)
    assert {len(page) for page in keys[:-1]} == {3}
    flat = [each["name"] for page in keys for each in page if each["name"] in names]
    assert flat == names[::-1], "in the order they were made in"
    for path in ("/v1/teams", "/v1/policies"):
        assert [e["name"] for page in pages(client, path, limit=3) for e in page] == names
    numbers = [e["number"] for page in pages(client, "/v1/audit", limit=4) for e in page]
    assert numbers == sorted(set(numbers), reverse=True)
    assert numbers[-1] == 1


def test_usage_comes_in_pages_too(client: httpx.Client, api: Served) -> None:
    groups = {UsageGroup("d", 86400, f"k{n}", "m", "b"): Sums(requests=n + 1) for n in range(5)}
    with api.gateway.database.write() as connection:
        add_usage(connection, groups)
    asked = {"by": "key,day", "since": 0, "until": 86400, "limit": 2}
    rows = [row for page in pages(client, "/v1/usage", **asked) for row in page]
    assert sorted(row["requests"] for row in rows) == [1, 2, 3, 4, 5]
    assert {row["day"] for row in rows} == {"1970-01-02"}


def test_usage_by_cache_is_one_question_to_the_api_and_to_the_command_line(
    client: httpx.Client, api: Served
) -> None:
    """A table for people has 80 columns, however long names are."""
    long = "qwen/" + "q" * 100
    groups = {
        UsageGroup("d", 2 * 86400, "agents", long, "b"): Sums(9, 0, 9_999_999_999, 0, 5_000_000),
        UsageGroup("d", 2 * 86400, "notebooks", long, "b"): Sums(3, 0, 2_000, 50, 1_500),
        UsageGroup("d", 2 * 86400, "sounds", long, "b"): Sums(3),
    }
    with api.gateway.database.write() as connection:
        add_usage(connection, groups)
    asked = {"since": 2 * 86400, "until": 2 * 86400, "cache": True}
    rows = client.get("/v1/usage", params=asked).raise_for_status().json()["items"]
    assert [(row["key"], row["cached_share"]) for row in rows] == [
        ("agents", 0.0005),
        ("notebooks", 0.75),
    ]
    root = api.gateway.home.root
    command = ["usage", "--cache", "--since", "1970-01-03", "--until", "1970-01-03"]
    command += ["-c", str(root / "infergate.yaml")]

    def said(*more: str) -> str:
        ran = run_here([*command, *more], {"INFERGATE_HOME": str(root)})
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert json.loads(said("--json"))["rows"] == rows
    head, *lines = said().splitlines()
    assert head.split() == ["KEY", "MODEL", "REQUESTS", "PROMPT", "CACHED", "SHARE"]
    shares = [(line.split()[0], line.split()[-1]) for line in lines]
    assert shares == [("agents", "0.1%"), ("notebooks", "75.0%"), ("total", "0.1%")]
    assert max(map(len, (head, *lines))) == 80


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/v1/keys/nobody", None, 404, "there is no key with the id or name 'nobody'"),
        ("POST", "/v1/keys", {"name": "x", "team": "none"}, 409, "there is no team 'none'"),
        ("POST", "/v1/keys", {"name": "a/b"}, 422, "is not a name for a key"),
        ("POST", "/v1/keys", {"name": "x", "rpm": 5}, 422, "Extra inputs"),
        ("POST", "/v1/keys", {"name": "x", "budget": "1-USD/day"}, 422, "another currency"),
        ("POST", "/v1/keys", {"name": "x", "allow": ["10.0.0.1/8"]}, 422, "host bits"),
        ("POST", "/v1/backends/gpu2/drain", None, 404, "did you mean 'gpu1'?"),
        ("GET", "/v1/keys?limit=0", None, 422, "greater than or equal to 1"),
        ("GET", "/v1/requests/none", None, 404, "no request 'none' in the log"),
        ("PATCH", "/v1/keys", None, 405, "Method Not Allowed"),
        ("GET", "/v2", None, 404, "Not Found"),
    ],
)
def test_a_problem_says_what_and_where(
    client: httpx.Client, method: str, path: str, body: object, status: int, detail: str
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]
    if status == 405:
        assert answer.headers["allow"] == "GET, POST"


def test_a_fault_of_ours_tells_nothing_of_the_inside(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("infergate.admin.teams.teams.all_teams", broken)
    answer = client.get("/v1/teams")
    assert (answer.status_code, "42" in answer.text) == (500, False)
    assert answer.json()["detail"] == "a fault of Infergate"


def test_what_is_drained_stays_so(client: httpx.Client, api: Served) -> None:
    assert client.post("/v1/backends/gpu1/drain").json() == {"name": "gpu1", "drained": True}
    assert "gpu1" in api.gateway.home.conditions_snapshot.read_text()
    assert client.post("/v1/backends/gpu1/undrain").json()["drained"] is False
