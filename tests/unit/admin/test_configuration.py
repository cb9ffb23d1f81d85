"""The file, read and written from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.admin_api import CONFIG, Served, served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as it:
        yield it


def ask(api: Served, method: str, path: str, **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.full}"}
    json = body or None
    return httpx.request(method, api.url + "/v1" + path, json=json, headers=headers, timeout=60)


def test_the_file_is_written_and_who_did_it_is_known(api: Served) -> None:
    read = ask(api, "POST", "/configuration:read").json()
    assert read["text"] == CONFIG
    new = CONFIG + "workers: 2\n"
    written = ask(api, "PUT", "/configuration", text=new, sha256=read["sha256"])
    assert written.json()["text"] == new
    assert api.gateway.declared.path.read_text() == new
    newest = ask(api, "GET", "/audit").json()["items"][0]
    assert (newest["who"], newest["action"]) == ("token full", "configuration.write")


def test_a_change_that_somebody_made_meanwhile_is_not_lost(api: Served) -> None:
    read = ask(api, "POST", "/configuration:read").json()
    api.gateway.declared.path.write_text(CONFIG + "# by hand\n")
    answer = ask(api, "PUT", "/configuration", text=CONFIG, sha256=read["sha256"])
    assert answer.status_code == 409
    assert "by hand" in api.gateway.declared.path.read_text()


def test_what_is_wrong_is_told_with_its_place_and_never_written(api: Served) -> None:
    wrong = CONFIG + "workers: many\nbackend: {}\n"
    found = ask(api, "POST", "/configuration:check", text=wrong).json()["problems"]
    assert {each["line"] for each in found} == {3, 4}
    sha256 = ask(api, "POST", "/configuration:read").json()["sha256"]
    answer = ask(api, "PUT", "/configuration", text=wrong, sha256=sha256)
    assert answer.status_code == 409
    assert api.gateway.declared.path.read_text() == CONFIG


@pytest.mark.parametrize("text", ["", "a: [", "- a", "\x00", "&a [*a]", "é: 1"])
def test_what_is_no_configuration_is_told_so(api: Served, text: str) -> None:
    answer = ask(api, "POST", "/configuration:check", text=text)
    assert answer.status_code == 200
    assert answer.json()["problems"]


def test_where_editing_is_off_nothing_is_written(tmp_path: Path) -> None:
    text = CONFIG + "admin: { edit: false }\n"
    with served(tmp_path, text) as api:
        read = ask(api, "POST", "/configuration:read").json()
        assert not read["editable"]
        answer = ask(api, "PUT", "/configuration", text=CONFIG, sha256=read["sha256"])
        assert answer.status_code == 403
        assert api.gateway.declared.path.read_text() == text


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        path = api.gateway.declared.path
        real = tmp_path / "real.yaml"
        path.rename(real)
        path.symlink_to(real)
        sha256 = ask(api, "POST", "/configuration:read").json()["sha256"]
        ask(api, "PUT", "/configuration", text=CONFIG + "# new\n", sha256=sha256)
        assert path.is_symlink()
        assert real.read_text().endswith("# new\n")
