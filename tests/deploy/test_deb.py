"""docs/install-deb.md, in a Debian 13 under systemd: the package, its service, its removal."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.backends.cache import CACHE
from tests.backends.servers import available
from tests.deploy.hypervisor import Hypervisor
from tests.deploy.walk import Block, blocks, may_be_unwell
from tests.gateway import until

PAGE = tuple(blocks("install-deb.md"))
SERVE = tuple(blocks("serve.md"))
BACKENDS = Path(__file__).parents[1] / "backends"
MOST_EXPOSED = 2.0
CHAT = 'http://127.0.0.1:8080/v1/chat/completions -H "Authorization: Bearer $KEY"'
ASK = (
    f'curl -s -o /dev/null -w \'%{{http_code}}\' {CHAT} -d \'{{"model": "qwen3", "messages": []}}\''
)


def do(machine: Hypervisor, section: str, key: str = "", page: Sequence[Block] = PAGE) -> list[str]:
    """What the blocks of a section say."""
    said = []
    for block in page:
        if block.section != section:
            continue
        if block.file is not None:
            machine.inside(f"cat > {block.file} <<'EOF'\n{block.text}EOF\n")
        else:
            said.append(machine.inside(f"export INFERGATE_KEY='{key}'\n{block.text}"))
    return said


@pytest.fixture(scope="module")
def fresh(lxc: Hypervisor, package: Path) -> Hypervisor:
    """A Debian 13 that has nothing but systemd and the package's file."""
    lxc.sh(f"infergate deploy lxc -o phoenix --package {package}")
    for step in ("create", "configure", "start"):
        lxc.sh(f"phoenix/bin/phoenix_orchestrator.sh --action {step}")
    lxc.put(package, f"/root/{package.name}")
    for file in BACKENDS.glob("scripted*.py"):
        lxc.put(file, f"/root/{file.name}")
    return lxc


@pytest.fixture(scope="module")
def key(fresh: Hypervisor) -> str:
    """The key that the page makes, once the package is installed and a stream was answered."""
    blocks_ = [block.text for block in PAGE if block.section == "From nothing to a streamed answer"]
    install, create, ask = blocks_
    fresh.inside(install)
    found = re.search(r"sk-ig-\S+", fresh.inside(create))
    assert found, "the key is shown"
    said = fresh.inside(f"export INFERGATE_KEY='{found[0]}'\n{ask}")
    assert said.count("data: {") > 1
    assert "data: [DONE]" in said
    return found[0]


def test_the_service_is_hardened_and_its_journal_has_no_key(fresh: Hypervisor, key: str) -> None:
    said = fresh.inside("systemd-analyze security --no-pager infergate")
    exposed = re.search(r"Overall exposure level for infergate.service: ([\d.]+)", said)
    assert exposed
    assert float(exposed[1]) <= MOST_EXPOSED
    assert fresh.inside("systemctl show infergate -p User").strip() == "User=infergate"
    journal = fresh.inside("journalctl -u infergate -o cat")
    assert "Infergate is up" in journal
    assert key[:12] not in journal
    assert "sk-ig-" not in journal
    assert fresh.inside("infergate keys first").count("sk-ig-") == 1, "it waits to be shown"


def test_its_configuration_comes_into_force_and_a_mistake_does_not(
    fresh: Hypervisor, key: str
) -> None:
    fresh.inside(
        "systemd-run --quiet --unit scripted python3 /root/scripted.py --port 8000 --models qwen3"
    )
    said = do(fresh, "Your configuration")
    assert " 0 failed" in said[0]
    assert fresh.inside(f"KEY={key}\n{ASK}") == "200"
    file = "/etc/infergate/infergate.yaml"
    fresh.inside(f"sed -i s/backends:/bakends:/ {file}")
    fresh.inside("systemctl reload infergate", code=1)
    assert "did you mean 'backends'" in fresh.inside("journalctl -u infergate -o cat -n 20")
    assert fresh.inside(f"KEY={key}\n{ASK}") == "200"
    fresh.inside(f"sed -i s/bakends:/backends:/ {file}; systemctl reload infergate")


def test_what_the_page_says_of_the_service_is_so(fresh: Hypervisor, key: str) -> None:
    do(fresh, "What the service may do")
    assert fresh.inside("ls /var/log/infergate/").split()
    assert fresh.inside(f"KEY={key}\n{ASK}") == "200"
    until(lambda: "access.log.1" in fresh.inside("ls /var/log/infergate/").split())
    until(lambda: fresh.inside("cat /var/log/infergate/access.log").strip())
    as_user = "setpriv --reuid=infergate --regid=infergate --init-groups infergate"
    assert json.loads(fresh.inside(f"{as_user} status --json"))["running"], "without its capability"
    pid = "cat /var/lib/infergate/gateway/run/nginx.pid"
    before = fresh.inside(pid)
    fresh.inside("systemctl kill --signal=KILL --kill-whom=main infergate")
    assert fresh.inside(f"KEY={key}\n{ASK}") == "200", "nginx goes on"
    is_active = "systemctl is-active infergate || true"
    until(lambda: "active" in fresh.inside(is_active).split(), 300)  # systemd waits, then starts it
    assert fresh.inside(pid) == before


def test_an_upgrade_cuts_no_stream_and_refuses_nobody(fresh: Hypervisor, key: str) -> None:
    slow = '{"chunk_delay_s": 0.5, "chunks": 60, "path_prefix": "/v1/chat"}'
    fresh.inside(f"curl -sf http://127.0.0.1:8000/_control/behave -d '{slow}'")
    body = '{"model": "qwen3", "stream": true, "messages": []}'
    ask = f"KEY={key}\ncurl -sN {CHAT} -d '{body}' > /root/stream"
    fresh.inside(f"systemd-run --quiet --unit stream bash -c '{_quoted(ask)}'")
    until(lambda: "data:" in fresh.inside("cat /root/stream || true"))
    fresh.inside("curl -sf http://127.0.0.1:8000/_control/behave -d '{}'")
    loop = f"KEY={key}\nwhile :; do {ASK}; echo; sleep 0.1; done > /root/codes"
    fresh.inside(f"systemd-run --quiet --unit loop bash -c '{_quoted(loop)}'")
    do(fresh, "Upgrade")
    fresh.inside("systemctl stop loop")
    codes = fresh.inside("cat /root/codes").split()
    assert len(codes) > 10
    assert set(codes) == {"200"}
    until(lambda: "[DONE]" in fresh.inside("cat /root/stream"))
    until(lambda: " 0 failed" in fresh.inside("infergate validate health || true"))


def _quoted(script: str) -> str:
    return script.replace("'", "'\\''")


@pytest.fixture(scope="module")
def engines(fresh: Hypervisor, key: str) -> list[str]:
    """What docs/serve.md says to do, done with real llama.cpp; what its commands printed."""
    if reason := available("llamacpp"):
        pytest.skip(reason)
    llama = CACHE / "llamacpp"
    fresh.inside("mkdir -p /srv/models; cp /etc/infergate/infergate.yaml /root/before.yaml || true")
    fresh.put(llama / "llama-server", "/usr/local/bin/llama-server")
    for name in ("words", "vectors"):
        fresh.put(llama / "tiny.gguf", f"/srv/models/{name}.gguf")
    # What Debian's libgomp1 has: nothing can be fetched in this network.
    openmp = Path("/usr/lib/x86_64-linux-gnu/libgomp.so.1").resolve()
    fresh.put(openmp, "/usr/lib/x86_64-linux-gnu/libgomp.so.1")
    fresh.inside("chmod 755 /usr/local/bin/llama-server; ldconfig")
    return do(fresh, "From nothing to an answer", key, SERVE)


def serving(machine: Hypervisor) -> dict[str, str]:
    """unit → its process, of those that are up."""
    units = ("infergate-serve-words", "infergate-serve-vectors")
    pids = machine.inside(f"systemctl show -P MainPID {' '.join(units)}").split()
    return dict(zip(units, pids, strict=True))


def test_engines_are_services_and_backends_as_the_page_says(
    fresh: Hypervisor, engines: list[str], key: str
) -> None:
    *_, words, vectors = engines
    assert json.loads(words)["choices"][0]["message"]["role"] == "assistant"
    assert len(json.loads(vectors)["data"][0]["embedding"]) > 8
    backends = json.loads(fresh.inside(may_be_unwell("infergate status --json")))["backends"]
    assert {each["name"]: each["models"] for each in backends} == {
        "words": ["words"],
        "vectors": ["vectors"],
    }
    do(fresh, "The services", key, SERVE)


def test_an_engine_answers_on_its_own_side_and_with_its_key_alone(
    fresh: Hypervisor, engines: list[str]
) -> None:
    bound = {line.split()[3] for line in fresh.inside("ss -Hltn").splitlines()}
    assert {each for each in bound if each.endswith((":8001", ":8002"))} == {
        "127.0.0.1:8001",
        "127.0.0.1:8002",
    }
    code = (
        "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8001/v1/chat/completions -d '{}'"
    )
    assert fresh.inside(code) == "401"
    secret = fresh.inside("sed -n s/^SERVE_KEY=//p /etc/infergate/environment").strip()
    assert len(secret) > 30
    shown = fresh.inside(
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl cat 'infergate-serve*'"
    )
    assert "llama-server" in shown
    assert secret not in shown
    files = fresh.inside("stat -c '%a %U' /etc/infergate/serve/*.env /root/engines/keys.env")
    assert set(files.splitlines()) == {"600 root"}


def test_a_second_run_restarts_no_engine_and_a_killed_one_comes_back(
    fresh: Hypervisor, engines: list[str]
) -> None:
    before = serving(fresh)
    said = do(fresh, "After an edit", "", SERVE)
    assert "Nothing is to be written." in said[0]
    assert serving(fresh) == before
    fresh.inside("systemctl kill --signal=KILL infergate-serve-words")
    until(lambda: serving(fresh)["infergate-serve-words"] not in ("0", *before.values()))
    until(
        lambda: (
            "active" in fresh.inside("systemctl is-active infergate-serve-words || true").split()
        )
    )
    assert serving(fresh)["infergate-serve-vectors"] == before["infergate-serve-vectors"]


def test_engines_are_ready_one_after_another_and_before_the_gateway(
    fresh: Hypervisor, engines: list[str]
) -> None:
    fresh.inside("systemctl stop infergate infergate-serve.target")
    assert set(serving(fresh).values()) == {"0"}
    fresh.inside("systemctl start infergate")

    def at(unit: str, when: str) -> int:
        return int(fresh.inside(f"systemctl show -P {when}TimestampMonotonic {unit}"))

    ready = [at(f"infergate-serve-{name}", "ActiveEnter") for name in ("words", "vectors")]
    started = [
        at(unit, "InactiveExit") for unit in ("infergate-serve-vectors", "infergate.service")
    ]
    assert ready[0] <= started[0]
    assert ready[1] <= started[1]


def test_engines_that_are_served_no_more_are_gone(fresh: Hypervisor, engines: list[str]) -> None:
    file = "/etc/infergate/infergate.yaml"
    fresh.inside(f"sed -i '/^  vectors:/,$d' {file}")
    do(fresh, "After an edit", "", SERVE)
    assert "vectors" not in fresh.inside("ls /etc/systemd/system /etc/infergate/serve")
    do(fresh, "Removal", "", SERVE)
    assert "infergate-serve" not in fresh.inside("ls /etc/systemd/system")
    fresh.inside(f"if [ -e /root/before.yaml ]; then cp /root/before.yaml {file}; fi")
    fresh.inside("systemctl restart infergate")


def test_backup_and_removal_work_as_printed(fresh: Hypervisor, key: str) -> None:
    do(fresh, "Backup")
    assert fresh.inside(f"KEY={key}\n{ASK}") == "200"
    fresh.inside("cp -a /usr/lib/infergate /opt/infergate")
    remove, purge = (block.text for block in PAGE if block.section == "Removal")
    fresh.inside(remove)
    assert fresh.inside("test -e /usr/bin/infergate || ls /var/lib/infergate").split() == [
        "gateway"
    ]
    assert fresh.inside("find /proc -maxdepth 1 -user infergate").split() == []
    fresh.inside(purge)
    for path in (
        "/var/lib/infergate",
        "/etc/infergate",
        "/usr/lib/infergate",
        "/var/log/infergate",
    ):
        fresh.inside(f"test ! -e {path} && test ! -L {path}")
    fresh.inside("getent passwd infergate", code=2)
    assert "gateway.backup" in fresh.inside("ls /var/backups/infergate")


def test_the_units_alone_bring_an_infergate_of_pip_up(fresh: Hypervisor, key: str) -> None:
    fresh.inside("sed -i '1s#/usr/lib/#/opt/#' /opt/infergate/bin/infergate")
    fresh.inside("/opt/infergate/bin/infergate deploy systemd -o infergate-service")
    fresh.inside("cd infergate-service && ./install.sh && ./install.sh")
    assert fresh.inside("systemctl is-active infergate").strip() == "active"
    made = json.loads(fresh.inside("infergate keys create bob --json 2> /dev/null"))
    url = "http://127.0.0.1:8080/v1/models"
    assert "data" in fresh.inside(f"curl -sf {url} -H 'Authorization: Bearer {made['key']}'")
