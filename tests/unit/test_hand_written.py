"""nginx files written by hand: what is told of them, by line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.errors import EngineError, LintError
from infergate.nginx.hand_written import Written, by_hand, examine, joined, listens
from infergate.nginx.rendered import Rendered
from infergate.nginx.ways_past_keys import MARK, known, refuse_ways_past_keys
from infergate.paths import Home

CONFIG = parse_config(
    "backends: { a: http://10.0.0.1:8000, b: http://localhost:8001, c: http://gpu.lan }",
    Path("infergate.yaml"),
    {},
).config
BACKENDS = known(CONFIG, {"gpu.lan": ("10.0.0.3",)})
SERVER = "server {\n    include snippets/access.conf;\n%s\n}\n"


def told(folder: Path, text: str) -> list[str]:
    home = Home(folder)
    home.sites_enabled.mkdir(exist_ok=True)
    (home.sites_enabled / "x.conf").write_text(text)
    (written,) = by_hand(home)
    return [f"{each.line}: {each.message}" for each in examine(written, BACKENDS)]


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


@pytest.mark.parametrize(
    "text",
    [
        "upstream vllm { server 10.0.0.1:8000; }",
        "upstream vllm { server 10.0.0.9:1; server 127.0.0.1:8001 backup; }",
        "upstream vllm { server gpu.lan; }",
        "upstream vllm { server 10.0.0.3:80 weight=3; }",
        SERVER % "location / { proxy_pass http://LOCALHOST:8001/v1/; }",
        SERVER % "location / { proxy_pass http://[::1]:8001$request_uri; }",
        SERVER % "location / { proxy_pass http://127.9.9.9:8001; }",
        SERVER % "location / { grpc_pass grpc://10.0.0.1:8000; }",
        SERVER % "set $to 10.0.0.1:8000; location / { proxy_pass http://$to; }",
        SERVER % "set $to http://a; location / { proxy_pass $to; }",
        SERVER % "set $to 10.0.0.1; location / { proxy_pass http://${to}:8000; }",
        SERVER % "set $a 10.0.0.1; set $b $a:8000; location / { proxy_pass http://$b; }",
        "map $uri $to { default b; }\n" + SERVER % "location / { proxy_pass http://$to; }",
        "geo $to { default 10.0.0.1:8000; }\n" + SERVER % "location / { proxy_pass http://$to; }",
        SERVER % "location / { if ($args) { proxy_pass http://10.0.0.1:8000; } }",
        SERVER % "location / { proxy_pass $scheme://10.0.0.1:8000; }",
        SERVER % "set $port 8001; location / { proxy_pass http://127.0.0.1:$port; }",
        SERVER % "set $a 10.0; set $b 8000; location / { proxy_pass http://$a.0.1:$b; }",
        "map $uri $n { ~x 3; default 1; }\n"
        + SERVER % "location / { proxy_pass http://10.0.0.$n; }",
        SERVER % "location / { proxy_pass http://$upstream_http_x:8000; }",
        SERVER % "location / { proxy_pass http://127.1:8001; }",
        SERVER % "location / { proxy_pass http://0.0.0.0:8001; }",
        SERVER % "location / { proxy_pass http://[::ffff:10.0.0.1]:8000; }",
        SERVER % "location / { proxy_pass http://localhost.:08001; }",
    ],
)
def test_a_way_to_a_backend_is_told_however_it_is_written(text: str, tmp_path: Path) -> None:
    (found,) = told(tmp_path, text)
    assert "past keys and limits" in found


@pytest.mark.parametrize(
    "text",
    [
        SERVER % "location ~ ^/(?<port>[0-9]+)/ { proxy_pass http://127.0.0.1:$port; }",
        SERVER % "location ~ ^/(?P<to>.+)$ { set $there $to; proxy_pass http://$there; }",
        "map $uri $to { ~^/(?<x>.+)$ $x; }\n" + SERVER % "location / { proxy_pass http://$to; }",
    ],
)
def test_who_asks_does_not_choose_the_server_by_a_name_in_a_pattern(
    text: str, tmp_path: Path
) -> None:
    (found,) = told(tmp_path, text)
    assert "the client chooses the server" in found


@pytest.mark.parametrize(
    "text",
    [
        "upstream web { server 10.0.0.1:3000; }",
        "map $uri $color { default a; }\nlog_format x $color;",  # no address is made of it
        SERVER % "set $who 10.0.0.1:8000; add_header X-Who $who;",
        SERVER % "location / { proxy_pass http://localhost; }",
        SERVER % "location / { proxy_pass http://unix:/run/web.sock; }",
        SERVER % "set $port 3000; location / { proxy_pass $scheme://127.0.0.1:$port$request_uri; }",
        SERVER % "set $a $b; set $b $a; location / { proxy_pass http://127.0.0.1:3000/$a; }",
    ],
)
def test_another_server_of_the_same_machine_is_no_such_way(text: str, tmp_path: Path) -> None:
    assert told(tmp_path, text) == []


def test_a_way_to_a_backend_is_refused_unless_it_is_marked(tmp_path: Path) -> None:
    (tmp_path / "sites-enabled").mkdir()
    (tmp_path / "nginx.conf").write_text(f"include {tmp_path}/sites-enabled/*.conf;\n")
    file = tmp_path / "sites-enabled/vllm.conf"
    ways = ("server 10.0.0.1:8000;", f"server 10.0.0.1:8000;  {MARK}", "server 127.0.0.1:8001;")
    file.write_text("upstream vllm {\n" + "\n".join(ways) + "\n}\n")
    with pytest.raises(LintError) as refused:
        refuse_ways_past_keys(tmp_path, CONFIG, {})
    assert f"{file}:2: leads to the backend 'a'" in str(refused.value)
    assert f"{file}:4: leads to the backend 'b'" in str(refused.value)
    assert f"{file}:3" not in str(refused.value)
    assert MARK in str(refused.value)
    file.write_text("upstream vllm {\n" + f"    {MARK}\n" + ways[0] + "\n}\n")
    refuse_ways_past_keys(tmp_path, CONFIG, {})
    # What it includes from elsewhere is its writer's, too.
    elsewhere = tmp_path.parent / f"{tmp_path.name}-more.conf"
    elsewhere.write_text("upstream vllm { server 10.0.0.1:8000; }\n")
    file.write_text(f"include {elsewhere};\n")
    with pytest.raises(LintError, match=f"{elsewhere.name}:1: leads to the backend 'a'"):
        refuse_ways_past_keys(tmp_path, CONFIG, {})


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


def test_where_a_server_by_hand_listens_is_known(tmp_path: Path) -> None:
    text = (
        "upstream web { server 10.0.0.1:3000; }\n"
        "server { listen 81 default_server; listen [::]:81; listen unix:/run/x.sock; }\n"
        "server { listen 127.0.0.1; }\nserver { listen [::1]; }\nserver { }\n"
    )
    file = tmp_path / "x.conf"
    file.write_text(text)
    unsaid = "*:80" if os.geteuid() == 0 else "*:8000"
    assert list(listens(Written("x.conf", file, text))) == [
        ("*:81", f"{file}:2"),
        ("[::]:81", f"{file}:2"),
        ("127.0.0.1:80", f"{file}:3"),
        ("[::1]:80", f"{file}:4"),
        (unsaid, f"{file}:5"),
    ]
