"""nginx files written by hand: what is told of them, by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.errors import EngineError
from infergate.nginx.hand_written import by_hand, examine, joined
from infergate.nginx.render import Rendered
from infergate.paths import Home

SERVER = "server {\n    include snippets/access.conf;\n%s\n}\n"


def told(folder: Path, text: str) -> list[str]:
    home = Home(folder)
    home.sites_enabled.mkdir(exist_ok=True)
    (home.sites_enabled / "x.conf").write_text(text)
    (written,) = by_hand(home)
    return [f"{each.line}: {each.message}" for each in examine(written, {"a": "10.0.0.1:8000"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("location / { proxy_pass http://$http_host; }", "client chooses the server"),
        ("location ~ ^/to/(.*) { proxy_pass http://$1; }", "client chooses the server"),
        ("location / { proxy_pass http://a; }", "past keys and limits"),
        ("location / { proxy_pass http://10.0.0.1:8000/v1; }", "past keys and limits"),
        ("return 301 https://x$uri;", "line breaks"),
        ("add_header X-Path $uri;", "line breaks"),
        ("location /files { alias /srv/; }", "out of the folder"),
        ("autoindex on;", "to everybody"),
        ("server_tokens on;", "version"),
        ("merge_slashes off;", "passes by"),
        ("ssl_protocols TLSv1 TLSv1.2;", "RFC 8996"),
    ],
)
def test_what_is_doubtful_is_told_with_its_line(line: str, message: str, tmp_path: Path) -> None:
    (found,) = told(tmp_path, SERVER % line)
    assert found.startswith("3: ")
    assert message in found


@pytest.mark.parametrize(
    "line",
    [
        "location / { proxy_pass http://10.0.0.9:3000; }",
        "location / { proxy_pass http://10.0.0.9:3000$request_uri; }",
        "return 301 https://x$request_uri;",
        "location /files/ { alias /srv/; }",
    ],
)
def test_what_is_usual_is_not(line: str, tmp_path: Path) -> None:
    assert told(tmp_path, SERVER % line) == []


def test_a_server_without_the_gateway_s_rules_and_a_broken_file_are_told(tmp_path: Path) -> None:
    assert "does not hold here" in told(tmp_path, "server {\n    listen 1;\n}\n")[0]
    assert told(tmp_path, "server {\n    listen 1;\n")[0].startswith("2: ")


def test_a_name_that_is_ours_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.sites_enabled.mkdir()
    (home.sites_enabled / "api.conf").write_text("")
    rendered = Rendered({}, {"sites-enabled/api.conf": "../sites-available/api.conf"})
    with pytest.raises(EngineError, match="name of a file that Infergate writes"):
        joined(rendered, by_hand(home))
