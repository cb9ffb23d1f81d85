"""What other programs get of the access log, as `log` says; the ledger counts beside it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.config.load import load_config
from infergate.paths import Home
from infergate.store.database import database_for
from tests.access_log import in_logs, in_store
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.wire import raw

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
models:
  m: {{ backends: [a], upstream_name: m }}
  falls: {{ backends: [a], upstream_name: m, fallback: [other] }}
  other: {{ backends: [b], upstream_name: m }}
services: {{ web: {{ url: {b}, path: /web/ }} }}
breaker: {{ failures: 1000, error_rate: 1 }}
usage: {{ rotate: 1MB }}
log: {log}
"""
TEXT = (
    r"127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    r'"POST /v1/chat/completions HTTP/1\.1" 200 \d+ "https://page\.example/\?q" '
    r'"curl\\x22" "1\.2\.3\.4" '
)
HEADERS = {
    "referer": "https://page.example/?q",
    "user-agent": 'curl"',
    "x-forwarded-for": "1.2.3.4",
}

HOSTILE = (
    b"\x01\x08\x0b\x0c\x1b[31m\x7f",
    b"\xff\xfe\xc0\x80\xed\xa0\x80",
    "\u2028\u2029\u0085".encode(),
    b'"\\" x="1" \'',
    b"a\tb",
    b"%0a%0d",
    b"x" * 3000 + b'"',
    b'{"a": 1}\\n',
)
HARMLESS = re.compile(
    rb'127\.0\.0\.1 - - \[[^]]+\] "[ !#-~]+" \d+ \d+( "[ !#-~]*"){3}'
    rb'( [a-z]+[=:]("[ !#-~]*"|[\d.]+)){2,3}'
)

Running = tuple[Gateway, Scripted, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Running]:
    with scripted(name="a") as a, scripted(name="b") as b:
        config = CONFIG.format(a=a.url, b=b.url, log="{}")
        with gateway(engine, config) as it:
            yield it, a, b


def with_log(running: Running, log: str) -> tuple[Gateway, Scripted, Scripted]:
    it, a, b = running
    a.reset(), b.reset()
    it.write(CONFIG.format(a=a.url, b=b.url, log=log))
    it.run("apply")
    return it, a, b


@pytest.mark.long
def test_nothing_more_is_written_where_nothing_is_asked_for(running: Running) -> None:
    it, _, _ = with_log(running, "{}")
    assert it.chat().status_code == 200
    assert len(it.log()) > 0
    rendered = (it.home / "current" / "nginx.conf").read_text()
    assert "main_ext" not in rendered
    assert "vllm_logs" not in rendered
    assert sorted(each.name for each in (it.home / "logs").glob("*.log")) == [
        "access.log",
        "error.log",
        "gateway.log",
    ]


@pytest.mark.long
@pytest.mark.parametrize("name", ["main_ext", "vllm_logs"])
def test_the_text_format_is_written_for_every_kind_of_request_and_the_ledger_counts_on(
    running: Running, name: str
) -> None:
    it, a, b = with_log(running, f"{{ format: {name} }}")
    file = it.home / "logs" / f"{name}.log"
    before = len(it.log())
    at = {each: each.url.removeprefix("http://") for each in (a, b)}
    short = it.post("/v1/chat/completions", {"model": "m", "messages": []}, headers=HEADERS)
    long = {"model": "m", "messages": [], "max_tokens": 100_000}
    assert it.post("/v1/chat/completions", long, headers=HEADERS).status_code == 200
    a.behave(path_prefix="/v1/chat/completions", status=503)
    it.post("/v1/chat/completions", {"model": "falls", "messages": []}, headers=HEADERS)
    it.get("/web/x")
    it.post("/v1/chat/completions", {"model": "m"}, key="sk-wrong")
    assert short.status_code == 200
    lines = until(lambda: (f := file.read_text().splitlines()) and len(f) >= 5 and f)
    assert len(it.log()) == before + 5 == before + len(lines)
    ways = {
        "main_ext": [
            rf'rt=\d+\.\d+ ua="(unix:[^"]* : )?{at[a]}" us="(\d+ : )?200"',
            rf'rt=\d+\.\d+ ua="[^"]*{at[a]} : {at[b]}" us="[^"]*503 : 200"',
        ],
        "vllm_logs": ['model:"m" upstream:"a"', 'model:"falls" upstream:"b"'],
    }[name]
    texts = [each for each in lines if "curl" in each]
    found = [sum(bool(re.fullmatch(TEXT + way, each)) for each in texts) for way in ways]
    assert found == [2, 1], texts
    a.reset()
    attack(it)
    attacked = until(
        lambda: (f := file.read_bytes().split(b"\n")) and len(f) > 5 + len(HOSTILE) and f
    )
    assert len(attacked) == 5 + len(HOSTILE) + 1
    assert all(HARMLESS.fullmatch(each) for each in attacked[5:-1])
    config = load_config(it.file).config
    database = database_for(config, Home(it.home))
    until(lambda: in_store(database) == in_logs(it.home / "logs" / "access.log"))


@pytest.mark.long
def test_elastic_s_names_are_in_a_file_of_their_own(running: Running) -> None:
    it, a, _ = with_log(running, "{ format: ecs }")
    kept = it.home / "state" / "handed-on-ecs-file.json"
    until(kept.exists)
    a.behave(path_prefix="/v1/chat/completions", status=503)
    answer = it.post("/v1/chat/completions", {"model": "falls", "messages": []}, headers=HEADERS)
    assert answer.status_code == 200
    found = until(lambda: documents(it.home / "logs" / "ecs.log"))[-1]
    line = next(e for e in it.log() if e["id"] == found["event"]["id"])
    assert found["event"]["id"] == answer.headers["x-infergate-request-id"]
    assert found["event"]["duration"] == round(line["request_time"] * 1e9)
    assert (found["event"]["outcome"], found["http"]["response"]["status_code"]) == ("success", 200)
    assert found["http"]["version"] == "1.1"
    assert found["gen_ai"]["request"]["model"] == "other"
    assert found["infergate"]["attempts"] == line["attempts"]
    assert found["user_agent"]["original"] == 'curl"'
    assert found["@timestamp"][:19] == line["time"][:19]
    file = it.home / "logs" / "ecs.log"
    before = file.read_bytes().count(b"\n")
    attack(it)
    until(lambda: file.read_bytes().count(b"\n") >= before + len(HOSTILE))
    assert len(documents(file)) == before + len(HOSTILE)
    assert file.read_bytes().isascii()


@pytest.mark.long
def test_every_line_comes_to_syslog_also_what_came_while_nobody_listened(
    running: Running, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    listening = listener(path)
    it, _, _ = with_log(running, f"{{ to: syslog, syslog: {path} }}")
    until((it.home / "state" / "handed-on-json-syslog.json").exists)
    first = it.chat().headers["x-infergate-request-id"]
    heard = received(listening, first)
    assert heard.startswith("<190>infergate: {")
    assert json.loads(heard.removeprefix("<190>infergate: "))["id"] == first
    listening.close()
    path.unlink()
    lost = it.chat().headers["x-infergate-request-id"]
    it.log()
    listening = listener(path)
    received(listening, lost)
    listening.close()
    with_log(running, "{}")


def attack(it: Gateway) -> None:
    """Requests with every header that a log has, of bytes that end lines, fields or encodings."""
    before = len(it.log())
    for each in HOSTILE:
        query = re.sub(rb"[\x00-\x20]", b"", each)[:200]
        names = (b"User-Agent", b"Referer", b"X-Forwarded-For", b"X-Request-Id", b"traceparent")
        headers = b"".join(b"%s: %s\r\n" % (name, each) for name in names)
        body = b'{"model": "m", "messages": []}'
        raw(
            int(it.url.rpartition(":")[2]),
            b"POST /v1/chat/completions?q=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s"
            b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (query, headers, it.key.encode(), len(body), body),
        )
    until(lambda: len(it.log()) == before + len(HOSTILE))


def documents(path: Path) -> list[dict]:
    return [json.loads(each) for each in path.read_text().splitlines()] if path.exists() else []


def listener(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(str(path))
    found.settimeout(60)
    return found


def received(listening: socket.socket, wanted: str) -> str:
    """The message that has this in it; those before it are others'."""
    while wanted not in (text := listening.recv(65536).decode()):
        pass
    return text
