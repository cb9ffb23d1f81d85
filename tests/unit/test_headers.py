"""Which headers of a client nobody behind the gateway sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.services import Service
from infergate.nginx.headers import IDENTITY, IDENTITY_FAMILIES, claimed, stripped

DOCS = Path(__file__).parents[2] / "docs" / "security.md"


def test_every_name_is_there_once() -> None:
    names = [name.lower() for name in (*stripped([]), *claimed([]))]
    assert len(names) == len(set(names))


def test_of_each_family_what_it_could_be_used_for_does_not_pass() -> None:
    names = {name.lower() for name in (*stripped([]), *claimed([]))}
    for beginning in IDENTITY_FAMILIES:
        for claim in ("user", "email", "groups", "tenant"):
            assert beginning.lower().removesuffix("-") + "-" + claim in names


def test_what_a_client_says_for_itself_passes() -> None:
    own = {"authorization", "cookie", "accept", "user-agent", "x-user-agent", "x-auth-token"}
    own |= {"x-access-token", "x-request-id", "x-goog-api-key", "x-stainless-os", "x-client-data"}
    own |= {"traceparent", "cf-ray", "x-session-id", "x-openwebui-user-id", "x-goog-user-project"}
    assert not own & {name.lower() for name in (*stripped([]), *claimed([]))}


def test_the_operator_adds_names_and_families() -> None:
    added = ["x-corp-user", "x-staff-*"]
    assert "x-corp-user" in stripped(added)
    assert {"x-staff-User", "x-staff-Email"} <= set(claimed(added))
    assert not [name for name in claimed(added) if "*" in name or name.startswith("x-corp")]


def test_the_documentation_has_every_family_and_name() -> None:
    text = DOCS.read_text()
    lines = [f"| `{each}` | {ends.strip()} |" for each, ends in IDENTITY_FAMILIES.items()]
    assert [line for line in lines if line not in text] == []
    assert [name for name in IDENTITY if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", ["X-Forwarded-User", "x-real-ip", "Authorization", "remote-user"])
def test_what_only_the_gateway_may_say_cannot_be_let_through(name: str) -> None:
    own = {"host": "a.test", "url": "http://127.0.0.1:9"}
    login = {"auth": "forward", "forward": {"url": "http://l.test/", "headers": ["Remote-User"]}}
    with pytest.raises(ValueError, match="only the gateway may say"):
        Service.model_validate({**own, **login, "client_headers": [name]})
    Service.model_validate({**own, **login, "client_headers": ["X-User-Id"]})
