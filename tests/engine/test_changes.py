"""Changes with proof: what is broken never becomes live, or does not stay so; nothing is cut."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from infergate.live.drain import nginx_workers
from infergate.live.revisions import current
from infergate.paths import Home
from infergate.supervise.instance import running
from tests.apply_campaign import campaign
from tests.backends.servers import free_port, scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What the control plane does beside nginx: one engine tells as much as two (`make soak`: both)."""


def workers(it: Gateway) -> frozenset[int]:
    return nginx_workers(it.status()["processes"]["nginx"])


def change(it: Gateway, old: str, new: str) -> None:
    text = it.file.read_text()
    assert old in text
    it.file.write_text(text.replace(old, new))


def in_force(it: Gateway) -> int:
    return int(it.status()["revision"])


def test_plan_and_diff_say_what_would_change_and_touch_nothing(pair: Pair) -> None:
    it, _, _ = pair
    before, number = workers(it), in_force(it)
    change(it, "m: [a, b]", "m: [a]")
    state = json.loads(it.run("plan", "--format", "json").stdout)
    assert (state["kind"], state["files"]) == ("state", [])
    assert state["settings"] == [{"path": "models.m.backends", "before": "[a, b]", "after": "[a]"}]
    it.file.write_text(it.file.read_text() + "timeouts: { connect: 1s }\n")
    reload = json.loads(it.run("plan", "--format", "json").stdout)
    assert reload["kind"] == "reload"
    assert "sites-available/api.conf" in reload["files"]
    said = it.run("plan").stdout
    assert "timeouts.connect: 2.0 → 1.0" in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "+timeouts: { connect: 1s }" in it.run("diff").stdout
    assert "-        proxy_connect_timeout  2000ms;" in it.run("diff", "--nginx").stdout
    assert (workers(it), in_force(it)) == (before, number)
    assert "is not what is active" in it.run("status").stdout


def test_a_change_of_state_does_not_reload_nginx(pair: Pair) -> None:
    it, a, _ = pair
    before = workers(it)
    change(it, "m: [a, b]", "m: [b]")
    assert "without a reload" in it.run("apply", "--window", "0s").stdout
    assert {it.chat().json()["choices"][0]["message"]["content"] for _ in range(4)} == {"b"}
    change(it, f"url: {a.url},", f"weight: 3, url: {a.url},")
    change(it, "m: [b]", "m: [a], n: { backends: [a], upstream_name: m }")
    assert "without a reload" in it.run("apply", "--window", "0s").stdout
    assert it.chat("n").json()["choices"][0]["message"]["content"] == "a"
    assert workers(it) == before
    assert "already active" in it.run("apply").stdout


def test_what_is_broken_never_becomes_live(pair: Pair) -> None:
    it, _, _ = pair
    before, number, good = workers(it), in_force(it), it.file.read_text()
    (it.folder / "bad.crt").write_text("no certificate\n")
    (it.folder / "bad.key").write_text("no key\n")
    for text, code, words in (
        (good.replace("models:", "modells:"), 2, "infergate.yaml:6:1: unknown"),
        (good.replace("m: [a, b]", "m: [c]"), 2, "infergate.yaml:6:"),
        # Nobody answers there.
        (
            f"listen: 127.0.0.1:{it.port}\n"
            "backends: { a: { url: http://127.0.0.1:1, engine: vllm } }\nmodels: { m: [a] }\n",
            1,
            "nobody would serve the model 'm' any longer (a: connection refused)",
        ),
        # A certificate that is none.
        (
            good.replace(
                f"listen: 127.0.0.1:{it.port}",
                f"listen: {{ http: 127.0.0.1:{it.port}, https: 127.0.0.1:{free_port()} }}\n"
                "tls: { files: { certificate: bad.crt, key: bad.key } }",
            ),
            2,
            "infergate.yaml:4:30: bad.crt holds no certificate",
        ),
    ):
        engine = f"engine: {it.engine}\n"
        it.file.write_text(text if engine in text else engine + text)
        ran = it.run("apply", check=False)
        assert ran.returncode == code, ran.stderr
        assert words in ran.stderr
        assert (workers(it), in_force(it)) == (before, number)
        assert it.chat().status_code == 200
    assert len(list((it.home / "revisions").iterdir())) <= number


@pytest.mark.long
def test_a_certificate_that_has_expired_is_found_by_the_start_beside(
    pair: Pair, expired: tuple[str, str]
) -> None:
    it, _, _ = pair
    number, good = in_force(it), it.file.read_text()
    (it.folder / "old.crt").write_text(expired[0])
    (it.folder / "old.key").write_text(expired[1])
    it.file.write_text(
        good.replace(
            f"listen: 127.0.0.1:{it.port}",
            f"listen: {{ http: 127.0.0.1:{it.port}, https: 127.0.0.1:{free_port()} }}\n"
            "tls: { files: { certificate: old.crt, key: old.key } }",
        )
    )
    ran = it.run("apply", check=False)
    assert ran.returncode == 1
    assert "has expired 3 days ago" in ran.stderr
    assert in_force(it) == number


@pytest.fixture(scope="module")
def expired() -> tuple[str, str]:
    """A certificate of yesterday's yesterday, and its key."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now - datetime.timedelta(days=2, hours=12))
        .sign(key, hashes.SHA256())
    )
    return (
        built.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


@contextmanager
def traffic(it: Gateway) -> Iterator[list[int]]:
    """Requests all the time; the status of each."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(it.chat().status_code)
            time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join(10)


def test_what_a_client_writes_into_the_error_log_is_no_word_of_nginx(pair: Pair) -> None:
    """A change is taken back where nginx gives up, and not where a Referer says that it does."""
    it, _, _ = pair
    begins = "2026/11/30 14:08:27 [emerg] 1#1: "
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {10**11}\r\n"
    over = threading.Event()

    def says_so() -> None:
        while not over.is_set():
            for before in ("", "x ", "x\u2028"):
                with socket.create_connection(("127.0.0.1", it.port), 60) as connection:
                    connection.sendall(f"{head}Referer: {before}{begins}gave up\r\n\r\n".encode())
                    connection.recv(1)
                over.wait(0.02)  # often enough: each line stays in the log

    with ThreadPoolExecutor(1) as pool:
        client = pool.submit(says_so)
        try:
            until(lambda: "gave up" in (it.home / "logs" / "error.log").read_text())
            it.file.write_text(it.file.read_text() + "timeouts: { connect: 1s }\n")
            assert it.run("apply", "--window", "0s", check=False).returncode == 0
        finally:
            over.set()
            client.result()


@pytest.mark.long
@pytest.mark.parametrize("how", ["reload", "state"])
def test_a_change_that_makes_requests_fail_is_taken_back_by_itself(pair: Pair, how: str) -> None:
    it, a, b = pair
    number, good = in_force(it), it.file.read_text()
    change(it, "m: [a, b]", "m: [b]")
    if how == "reload":
        it.file.write_text(it.file.read_text() + "timeouts: { connect: 1s }\n")
    broken = it.file.read_text()
    b.behave(path_prefix="/v1/chat", status=500)  # it looks healthy, and is not
    a.behave(path_prefix="/v1/models")
    with traffic(it):
        time.sleep(0.3)
        began = time.monotonic()
        ran = it.run("apply", "--window", "600s", check=False)
        took_s = time.monotonic() - began
    assert ran.returncode == 1
    assert "failed with 5xx" in ran.stderr
    assert f"Revision {number} is active again" in ran.stderr
    assert took_s < 500, "as soon as it is seen, not when the window is over"
    assert it.file.read_text() == broken, "the file is the user's"
    b.reset()
    until(lambda: it.chat().json()["choices"][0]["message"]["content"] == "a")
    assert in_force(it) == number
    assert it.run("diff", str(number), str(number + 1)).stdout
    assert f"Revision {number + 1} was rolled back" in it.run("history").stdout
    it.file.write_text(good)
    assert json.loads(it.run("plan", "--format", "json").stdout)["kind"] == "nothing"


def test_a_change_whose_backends_go_down_is_taken_back_by_itself(pair: Pair) -> None:
    it, _, b = pair
    number = in_force(it)
    change(it, "m: [a, b]", "m: [b]")
    killer = threading.Timer(1.5, lambda: b.behave(health="fail"))
    killer.start()
    ran = it.run("apply", "--window", "600s", check=False)
    killer.join()
    assert ran.returncode == 1
    assert "nobody would serve the model 'm' any longer (b: HTTP 503" in ran.stderr
    assert in_force(it) == number
    assert it.chat().json()["choices"][0]["message"]["content"] == "a"
    b.reset()
    until(lambda: it.backend("b")["state"] == "up")  # the next test goes on with it


@pytest.mark.long
def test_rollback_brings_an_earlier_configuration_back_and_says_how_the_file_differs(
    pair: Pair,
) -> None:
    it, _, _ = pair
    good = it.file.read_text()
    change(it, "m: [a, b]", "m: [b]")
    it.run("apply", "--window", "0s")
    one = it.file.read_text()
    it.file.write_text(one + "timeouts: { connect: 1s }\n")
    it.run("apply", "--window", "0s")
    # The way back does not need a file that can be read.
    it.file.write_text("backends: [\n")
    said = it.run("rollback").stdout
    assert "infergate.yaml is not what is active" in said
    home = Home(it.home)
    assert (home.current / "infergate.yaml").read_text() == one
    it.run("rollback")
    assert (home.current / "infergate.yaml").read_text() == good
    it.file.write_text(good)
    rows = json.loads(it.run("history", "--format", "json").stdout)
    assert rows[-1]["in_force"]
    assert [row["of"] for row in rows[-4:]] == [None, None, rows[-4]["revision"], rows[-1]["of"]]
    assert rows[-1]["sha256"] == rows[-5]["sha256"]
    actions = [row["action"] for row in json.loads(it.run("audit", "log", "--json").stdout)]
    assert actions[-2:] == ["config.rollback", "config.rollback"]
    assert it.chat().status_code == 200


@pytest.mark.long
def test_streams_on_old_workers_are_reported_until_they_end(pair: Pair) -> None:
    it, a, b = pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", chunk_delay_s=0.2, chunks=1000)
    body = {"model": "m", "stream": True, "messages": []}
    url = f"{it.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=it.headers(), timeout=60) as stream:
        pieces = stream.iter_text()
        next(pieces)
        assert "Open now: 1 on" in it.run("plan").stdout
        it.file.write_text(it.file.read_text() + "timeouts: { connect: 1s }\n")
        assert "1 stream left on the old workers, oldest " in it.run("reload").stdout
        assert "1 stream left on the old workers" in it.run("status").stdout
        assert next(pieces)
    until(lambda: it.status()["drain"]["workers"] == 0)


@pytest.mark.long
def test_three_applies_cut_no_stream_of_ten(engine: str) -> None:
    seen = campaign(engine, 3, 10, chunks=10, chunk_delay_s=0.3)
    assert seen.wrong == []
    assert set(seen.answers) == {200}
    assert seen.streams >= 10
    assert seen.most_left > 0


@pytest.mark.long
def test_up_watch_applies_the_file_and_lives_through_typos(
    engine: str, start: Callable[..., Any]
) -> None:
    a, b = start(scripted, name="a"), start(scripted, name="b")
    it = start(
        gateway,
        engine,
        f"backends: {{ a: {{ url: {a.url}, engine: vllm }}, b: {b.url} }}\nmodels: {{ m: [a] }}\n",
        start=False,
    )
    it.run("up", "--detach", "--watch")
    it.key = it.new_key("test")
    good = it.file.read_text()
    log = it.home / "logs" / "gateway.log"
    it.file.write_text(good.replace("models", "modells"))
    until(lambda: "infergate.yaml:5:1: unknown" in log.read_text())
    assert it.chat().status_code == 200
    # The control plane does not take what is not active when it is started again.
    home = Home(it.home)
    control = running(home).control
    assert control is not None
    os.kill(control, signal.SIGKILL)
    until(lambda: running(home).control not in (None, control))
    it.file.write_text(good.replace("m: [a]", "m: [b]"))
    until(lambda: it.chat().json()["choices"][0]["message"]["content"] == "b")
    assert it.run("down", check=False).returncode == 0


def test_a_port_of_somebody_else_is_named_before_anything_is_touched(pair: Pair) -> None:
    it, _, _ = pair
    before = workers(it)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        change(it, f"listen: 127.0.0.1:{it.port}", f"listen: 127.0.0.1:{taken.getsockname()[1]}")
        ran = it.run("apply", check=False)
    assert ran.returncode == 1
    assert "is used by another program" in ran.stderr
    assert workers(it) == before


def test_a_hang_up_reloads_as_systemd_expects(pair: Pair) -> None:
    it, _, _ = pair
    supervisor, before = it.status()["processes"]["supervisor"], in_force(it)
    change(it, "m: [a, b]", "m: [b]")
    os.kill(supervisor, signal.SIGHUP)
    until(lambda: current(Home(it.home)).number > before)
    until(lambda: {it.chat().json()["choices"][0]["message"]["content"] for _ in "12"} == {"b"})
    assert it.status()["processes"]["supervisor"] == supervisor
    it.file.write_text("this: is not one")
    os.kill(supervisor, signal.SIGHUP)
    until(lambda: "the file was not applied" in (it.home / "logs" / "gateway.log").read_text())
    assert it.chat().status_code == 200
