"""The backends of a group that a hand-written `upstream` of nginx names."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.health.group_file import Listed, read_group
from infergate.health.group_names import GroupUnknown

FULL = """
# Backend Ollama Servers
least_conn; keepalive 32;
keepalive_timeout 60s; zone ollama 64k;
server 192.168.1.101:11434; # GPU Server 1
server "ollama-gpu2.internal:11434" weight=3 max_fails=2 fail_timeout=10s; # GPU Server 2
server [fd00::5]:11434 max_conns=4 resolve;
server gpu4;
server 10.0.0.6:1 down; # in repair
server 10.0.0.7:1 backup;
server 10.0.0.7:1 weight=2;
"""


def listed(tmp_path: Path, text: str) -> Listed:
    (tmp_path / "upstream_ollama.conf").write_text(text)
    return read_group("gpus", tmp_path / "upstream_ollama.conf")


@pytest.mark.parametrize("text", [FULL, f"upstream ollama {{{FULL}}}"])
def test_what_nginx_allows_in_an_upstream_is_read_as_it_stands(tmp_path: Path, text: str) -> None:
    found = listed(tmp_path, text).backends
    assert [each.model_dump(exclude_none=True) for each in found] == [
        {"name": "gpus-192.168.1.101-11434", "url": "http://192.168.1.101:11434"},
        {
            "name": "gpus-ollama-gpu2.internal-11434",
            "url": "http://ollama-gpu2.internal:11434",
            "weight": 3,
        },
        {
            "name": "gpus-fd00-5-11434",
            "url": "http://[fd00::5]:11434",
            "max_in_flight": 4,
        },
        {"name": "gpus-gpu4-80", "url": "http://gpu4"},
        {
            "name": "gpus-10.0.0.7-1",
            "url": "http://10.0.0.7:1",
            "weight": 3,
            "backup": True,
        },
    ]


def test_included_servers_are_watched_too(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("server a:1;\n")
    found = listed(tmp_path, "include more.conf; server b:1;")
    assert [each.url for each in found.backends] == ["http://a:1", "http://b:1"]
    assert found.files == (tmp_path / "upstream_ollama.conf", tmp_path / "more.conf")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no server"),
        ("# server a:1;\n", "names no server"),
        ("server 10.0.0.5:114", "upstream_ollama.conf, line 1 has no end"),
        ("server a:1;\nserver b:1\nserver c:1;", "line 2: server is no parameter"),
        ("server a:1;\nserver b:1 weight=two;", "line 2: weight is no parameter"),
        ("server a:1;\nserver b:1 weight=0;", "weight"),
        ("server unix:/run/x.sock;", "not by a unix socket"),
        ("server a:1;\nproxy_pass http://b;", "line 2: nothing that stands in an upstream"),
        ("server a:99999;", "99999"),
        ("server;", "line 1: nothing"),
        ("upstream a { server a:1; }\nupstream b { server b:1; }", "only one upstream"),
        ("location / { server a:1; }", "a block cannot stand here"),
        ("include /etc/shadow-not-there;", "cannot be read"),
    ],
)
def test_a_file_with_something_wrong_in_it_is_refused_as_a_whole(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(GroupUnknown, match=said):
        listed(tmp_path, text)
