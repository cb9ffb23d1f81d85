"""Nobody uses the admin API who may not: no stranger, no other site's page, no guesser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from infergate.admin.guard import WrongTokens
from infergate.store.admin_tokens import create_token, revoke_token
from tests.admin_api import Served, served


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["detail"]
    return found


def test_nothing_is_told_without_a_valid_token(api: Served) -> None:
    for path in ("/v1/keys", "/openapi.json", "/v1/nothing", "/nothing"):
        answer = httpx.get(api.url + path)
        assert "token" in problem(answer, 401)["hint"]
        assert answer.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer", "Bearer x", f"Basic {api.full}", f"Bearer {api.full}x"):
        problem(httpx.get(api.url + "/v1/keys", headers={"Authorization": wrong}), 401)
    cookie = {"Cookie": f"token={api.full}; Authorization=Bearer {api.full}"}
    problem(httpx.get(api.url + "/v1/keys", headers=cookie), 401)


def test_a_token_ends_when_it_is_revoked_or_has_expired(api: Served) -> None:
    database = api.gateway.database
    secret, _ = create_token(database, "short", "read")
    late, _ = create_token(database, "late", "read", expires_at=1)
    assert httpx.get(api.url + "/v1/keys", headers=bearer(secret)).is_success
    problem(httpx.get(api.url + "/v1/keys", headers=bearer(late)), 401)
    revoke_token(database, "short")
    problem(httpx.get(api.url + "/v1/keys", headers=bearer(secret)), 401)


def test_a_token_for_reading_changes_nothing(api: Served) -> None:
    assert httpx.get(api.url + "/v1/keys", headers=bearer(api.read)).is_success
    for method, path in (
        *(("POST", "/v1/keys"), ("POST", "/v1/keys/x/revoke"), ("DELETE", "/v1/teams/x")),
        *(("PUT", "/v1/policies/x"), ("POST", "/v1/keys:export"), ("POST", "/v1/tokens")),
    ):
        answer = httpx.request(method, api.url + path, headers=bearer(api.read))
        assert "may ask and not change" in problem(answer, 403)["detail"]


@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:9090"},
        {"Host": ""},
    ],
)
def test_what_a_page_of_another_site_sends_is_refused(api: Served, sent: dict[str, str]) -> None:
    answer = httpx.post(api.url + "/v1/teams", json={"name": "x"}, headers=bearer(api.full) | sent)
    problem(answer, 403)


@pytest.mark.parametrize("host", ["localhost:9090", "127.0.0.1", "[::1]:9090", "API.lan:9090"])
def test_it_answers_to_its_own_names(api: Served, host: str) -> None:
    ours = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert httpx.get(api.url + "/v1/keys", headers=bearer(api.full) | ours).is_success


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_that_a_form_could_send_is_refused(api: Served, kind: str) -> None:
    sent = bearer(api.full) | ({"Content-Type": kind} if kind else {})
    answer = httpx.post(api.url + "/v1/teams", content=b'{"name": "x"}', headers=sent)
    problem(answer, 415)


def test_a_body_without_end_is_refused(api: Served) -> None:
    answer = httpx.post(
        api.url + "/v1/keys:import",
        content=b'{"text": "' + b" " * (17 * 1024**2) + b'"}',
        headers=bearer(api.full) | {"Content-Type": "application/json"},
    )
    problem(answer, 413)


def test_who_guesses_tokens_has_to_wait_and_locks_nobody_out(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        answers = [
            httpx.get(api.url + "/v1/keys", headers=bearer(f"ig-admin-{number}"))
            for number in range(12)
        ]
        assert [each.status_code for each in answers] == [401] * 10 + [429] * 2
        assert 0 < int(answers[-1].headers["retry-after"]) <= 61
        # From the same address, and never seen before.
        for right in (api.full, api.read):
            assert httpx.get(api.url + "/v1/keys", headers=bearer(right)).is_success
        problem(httpx.get(api.url + "/v1/keys", headers=bearer("ig-admin-x")), 429)


def test_guesses_are_forgotten_after_a_minute_and_counted_by_subscriber() -> None:
    wrong = WrongTokens(2)
    wrong.note("2001:db8::1", 0.0)
    wrong.note("2001:db8::2", 10.0)
    assert wrong.wait_s("2001:db8::3", 20.0) == 40.0
    assert wrong.wait_s("2001:db8:0:1::1", 20.0) == 0
    assert wrong.wait_s("2001:db8::3", 60.0) == 0
    # On a socket for both, IPv4 clients come as these: no network that they share.
    wrong.note("::ffff:192.0.2.1", 0.0)
    wrong.note("::ffff:192.0.2.1", 0.0)
    assert wrong.wait_s("192.0.2.1", 1.0) == 59.0
    assert wrong.wait_s("::ffff:192.0.2.2", 1.0) == 0
    wrong.note("fe80::1%eth0", 0.0)


def test_many_guessing_addresses_take_no_memory() -> None:
    wrong = WrongTokens(2)
    for number in range(10_100):
        wrong.note(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(wrong._seen) <= 10_000
