"""What other programs get of the access log, as `log` says; the ledger counts beside it."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infergate.config.load import load_config
from infergate.live.shared_memory import read
from infergate.paths import Home
from infergate.shown import is_plain
from infergate.store.database import database_for
from tests.access_log import in_logs, in_store
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.wire import raw

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
  narrow: {{ url: {a}, engine: vllm, max_in_flight: 1 }}
models:
  one: {{ backends: [narrow], upstream_name: m }}
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
ATTACKS = 4 * len(HOSTILE)
HARMLESS = re.compile(
    rb'127\.0\.0\.1 - [ !#-~]+ \[[^]]+\] "[ !#-~]+" \d+ \d+( "[ !#-~]*"){3}'
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
    it.run("reload")
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
            rf'rt=\d+\.\d+ ua="{at[a]}" us="200"',
            rf'rt=\d+\.\d+ ua="{at[a]} : {at[b]}" us="503 : 200"',
        ],
        "vllm_logs": ['model:"m" upstream:"a"', 'model:"falls" upstream:"b"'],
    }[name]
    texts = [each for each in lines if "curl" in each]
    found = [sum(bool(re.fullmatch(TEXT + way, each)) for each in texts) for way in ways]
    assert found == [2, 1], texts
    a.reset()
    attack(it)
    attacked = until(lambda: (f := file.read_bytes().split(b"\n")) and len(f) > 5 + ATTACKS and f)
    assert len(attacked) == 5 + ATTACKS + 1
    assert all(HARMLESS.fullmatch(each) for each in attacked[5:-1])
    config = load_config(it.file).config
    database = database_for(config, Home(it.home))
    until(lambda: in_store(database) == in_logs(it.home / "logs" / "access.log"))


@pytest.mark.long
def test_main_ext_lists_backends_alone_also_of_what_waited(running: Running) -> None:
    it, a, b = with_log(running, "{ format: main_ext }")
    file = it.home / "logs" / "main_ext.log"
    before = len(file.read_text().splitlines()) if file.exists() else 0
    at = {each: each.url.removeprefix("http://") for each in (a, b)}
    long = {"max_tokens": 100_000}
    socket_of_state = Home(it.home).socket
    a.behave(path_prefix="/v1/chat/completions", hold=True)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(it.chat, "one")
        until(lambda: it.backend("narrow")["in_flight"] == 1)
        waiting = pool.submit(it.chat, "one")
        until(lambda: read(socket_of_state).waiting == 1)
        with socket.create_connection(("127.0.0.1", it.port), timeout=60) as leaves:
            leaves.sendall(request(it, b"", b'{"model": "one", "messages": []}'))
            until(lambda: read(socket_of_state).waiting == 2)
        until(lambda: read(socket_of_state).waiting == 1)
        a.reset()
        assert [each.result().status_code for each in (first, waiting)] == [200, 200]
    a.behave(path_prefix="/v1/chat/completions", status=503)
    assert it.chat("falls", **long).status_code == 200
    assert it.chat("nobody").status_code == 404
    assert it.get("/v1/models").status_code == 200
    a.reset()
    wanted = Counter(
        {
            f'ua="{at[a]}" us="200"': 2,
            f'ua="{at[a]} : {at[b]}" us="503 : 200"': 1,
            'ua="-" us="-"': 3,  # one that left the queue, an unknown model, the list
        }
    )

    def listed() -> Counter[str]:
        lines = file.read_text().splitlines()[before:]
        return Counter(re.search("ua=.*", each)[0] for each in lines)

    until(lambda: listed().total() == wanted.total())
    assert listed() == wanted


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
    until(lambda: file.read_bytes().count(b"\n") >= before + ATTACKS)
    assert len(documents(file)) == before + ATTACKS
    assert file.read_bytes().isascii()


@pytest.mark.long
def test_every_line_comes_to_syslog_also_what_came_while_nobody_listened(
    running: Running, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    listening = listener(path)
    it, _, _ = with_log(running, f"{{ to: syslog, syslog: {path} }}")
    until((it.home / "state" / "handed-on-json-syslog.json").exists)
    attack(it)
    first = it.chat().headers["x-infergate-request-id"]
    messages = heard_until(listening, first)
    assert len(messages) == ATTACKS + 1
    for each in messages:
        assert is_plain(each)
        json.loads(each.removeprefix("<190>infergate: "))
    heard = messages[-1]
    assert heard.startswith("<190>infergate: {")
    assert json.loads(heard.removeprefix("<190>infergate: "))["id"] == first
    listening.close()
    path.unlink()
    lost = it.chat().headers["x-infergate-request-id"]
    it.log()
    listening = listener(path)
    heard_until(listening, lost)
    listening.close()
    with_log(running, "{}")


@pytest.mark.long
@pytest.mark.parametrize("name", ["json", "ecs", "vllm_logs"])
def test_on_stdout_hostile_bytes_are_one_harmless_line_a_request(
    running: Running, name: str
) -> None:
    it, _, _ = with_log(running, f"{{ format: {name}, to: stdout }}")
    until((it.home / "state" / f"handed-on-{name}-stdout.json").exists)
    # Where `up --detach` sends the control plane's standard output; its own words are there, too.
    file = it.home / "logs" / "gateway.log"
    before = file.stat().st_size
    attack(it)
    last = it.chat().headers["x-infergate-request-id"]
    ids = Counter(each["id"] for each in it.log()[-ATTACKS - 1 :])
    assert last in ids

    def handed_on() -> list[str]:
        lines = file.read_bytes()[before:].decode().split("\n")[:-1]
        return [each for each in lines if ', "level": "' not in each]

    until(lambda: len(handed_on()) >= ATTACKS + 1)
    found = handed_on()
    assert all(is_plain(each) for each in found)
    if name == "vllm_logs":
        assert all(HARMLESS.fullmatch(each.encode()) for each in found)
        assert len(found) == ATTACKS + 1
    else:
        told = [json.loads(each) for each in found]
        assert Counter(e["id"] if name == "json" else e["event"]["id"] for e in told) == ids


def attack(it: Gateway) -> None:
    """Requests with every field of a client that a log has, of bytes that end lines, fields or
    encodings: ATTACKS of them."""
    before = len(it.log())
    for each in HOSTILE:
        query = re.sub(rb"[\x00-\x20]", b"", each)[:200]
        names = (b"User-Agent", b"Referer", b"X-Forwarded-For", b"X-Request-Id", b"traceparent")
        headers = b"".join(b"%s: %s\r\n" % (name, each) for name in names)
        raw(it.port, request(it, b"?q=" + query, b'{"model": "m", "messages": []}', headers))
        named = json.dumps({"model": each.decode("utf-8", "replace"), "messages": []}).encode()
        raw(it.port, request(it, b"", named))
        user = base64.b64encode(each + b":x")
        basic = b"Connection: close\r\nAuthorization: Basic " + user
        raw(it.port, b"GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % (quoted(each), basic))
        raw(it.port, b"GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % (query, basic))
    until(lambda: len(it.log()) == before + ATTACKS)


def quoted(text: bytes) -> bytes:
    return b"".join(b"%%%02x" % each for each in text[:200] if each)


def request(it: Gateway, query: bytes, body: bytes, headers: bytes = b"") -> bytes:
    return (
        b"POST /v1/chat/completions%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s"
        b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (query, headers, it.key.encode(), len(body), body)
    )


def documents(path: Path) -> list[dict]:
    return [json.loads(each) for each in path.read_text().splitlines()] if path.exists() else []


def listener(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(str(path))
    found.settimeout(60)
    return found


def heard_until(listening: socket.socket, wanted: str) -> list[str]:
    """The messages up to the one that has this in it."""
    found = [listening.recv(65536).decode()]
    while wanted not in found[-1]:
        found.append(listening.recv(65536).decode())
    return found
