"""The container, as docs/install-docker.md says it and as the text it comes from prints it."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ruamel.yaml import YAML

from tests.backends.cache import CACHE
from tests.backends.servers import available
from tests.deploy import tools
from tests.deploy.machine import CONTAINER, Machine
from tests.deploy.walk import Block, blocks, may_be_unwell
from tests.gateway import until

PRINTED = (
    # The commands of the text that this way of installing comes from, word for word.
    "docker-compose up --build -d",
    "docker exec ollama_nginx_gateway nginx -s reload",
    "docker logs -f ollama_nginx_gateway",
    "docker-compose down",
    "docker-compose down -v",
    """curl -X POST http://127.0.0.1:8080/api/generate \\
  -H "Authorization: Bearer your_generated_openssl_key_here" \\
  -d '{
    "model": "llama3",
    "prompt": "Why is the sky blue?"
  }'""",
)
PAGE = tuple(blocks("install-docker.md"))
KEY = "your_generated_openssl_key_here"
LARGEST_BYTES = 250_000_000
LOADED = """
import contextlib, importlib, os, sys
for name in ("api.tier", "api.batches.run", "api.endpoints.host", "supervise.supervisor",
             "control.plane", "admin.serve", "cli.status", "__main__"):
    importlib.import_module("infergate." + name)
from openai import AsyncOpenAI
AsyncOpenAI(api_key="x", base_url="http://x").chat.completions
sys.argv[1:] = ["keys", "list"]
with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
    sys.modules["infergate.__main__"].start()
compiled = [getattr(each, "__cached__", None) for each in list(sys.modules.values())]
for each in compiled:
    if each and not os.path.exists(each):
        print(each)
assert len([each for each in compiled if each]) > 1000
"""
"""Loads what our processes do, and says what of it Python has to compile anew at each start."""
KEYS, SERVERS = "nginx/api_keys.conf", "nginx/upstream_ollama.conf"
PODMAN = "metrics: { networks: [10.88.0.0/13, 172.16.0.0/12"
GENERATE = f"http://127.0.0.1:8080/api/generate -H 'Authorization: Bearer {KEY}'"


def do(host: Machine, block: Block) -> str:
    """Do what a block says, where the ones before it led."""
    folder = host.folder / "ollama-nginx-gateway"
    inside = Machine(host.netns, folder if folder.is_dir() else host.folder)
    if block.file is not None:
        (inside.folder / block.file).write_text(block.text)
        return ""
    # One that follows does not end by itself.
    said = inside.sh(re.sub(r"(?m)^(docker logs -f .*)$", r"timeout 5 \1 || true", block.text))
    if re.search(r"docker-compose (up|start)", block.text):
        until(lambda: "llama3" in models(inside))
    return said


def models(host: Machine, key: str = KEY) -> str:
    url = "http://127.0.0.1:8080/v1/models"
    return host.sh(f"curl -s {url} -H 'Authorization: Bearer {key}' || true")


def of(*sections: str) -> list[Block]:
    return [block for block in PAGE if block.section in sections]


@pytest.fixture(scope="module")
def up(host: Machine) -> Machine:
    """The machine, in the folder that the page made, with the gateway running."""
    answers = [do(host, block) for block in of("From nothing to a streamed answer")]
    pieces = [json.loads(line) for line in answers[-1].splitlines() if line.startswith("{")]
    assert len(pieces) > 1, "the printed curl line is answered with a stream"
    assert pieces[-1]["done"]
    assert "ollama-192.168.1.101-11434" in answers[-2]
    host.folder /= "ollama-nginx-gateway"
    return host


def test_the_page_has_the_commands_that_were_printed() -> None:
    typed = "\n".join(block.text for block in PAGE)
    assert [command for command in PRINTED if command not in typed] == []


def test_the_image_is_small_and_runs_as_nobody_in_a_root_that_cannot_be_written(
    up: Machine,
) -> None:
    image = json.loads(up.sh("docker image inspect localhost/infergate:0.1.0"))[0]
    assert image["Size"] <= LARGEST_BYTES
    assert image["User"] == "10001:10001"
    inside = json.loads(up.sh(f"docker inspect {CONTAINER}"))[0]
    assert inside["HostConfig"]["ReadonlyRootfs"]
    assert inside["EffectiveCaps"] in (None, [])
    users = up.sh(f"docker exec {CONTAINER} sh -c 'stat -c %u /proc/[0-9]*'").split()
    assert set(users) == {"10001"}
    up.sh(f"docker exec {CONTAINER} touch /etc/nginx/x", code=1)
    modules = up.sh(f"docker exec {CONTAINER} ls /usr/lib/nginx/modules")
    assert {"ngx_http_js_module.so", "ngx_http_modsecurity_module.so"} <= set(modules.split())
    until(lambda: up.sh(f"docker healthcheck run {CONTAINER} || true").strip() == "")


def test_what_is_loaded_is_compiled_already(up: Machine) -> None:
    said = up.sh(f"docker exec {CONTAINER} /opt/infergate/bin/python -c '{LOADED}' 2>/dev/null")
    assert said == ""


def test_hadolint_has_nothing_to_say(up: Machine) -> None:
    up.sh(f"{tools.HADOLINT} nginx/Dockerfile")


def test_the_second_compose_file_adds_to_the_first(up: Machine) -> None:
    both = "docker-compose -f docker-compose.yml -f docker-compose.stack.yml"
    profiles = ("chat", "postgres", "valkey", "monitoring")
    options = " ".join(f"--profile {name}" for name in profiles)
    told = up.sh(f"{both} {options} config")
    for name in ("ollama_nginx_gateway", "open-webui", "postgres", "valkey", "grafana"):
        assert f"  {name}:" in told


def test_prometheus_of_the_second_file_scrapes_by_our_rules_where_grafana_looks_for_it(
    up: Machine,
) -> None:
    """Its image is made of this machine's own Prometheus: there is no registry to get it from."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no Prometheus")
    image = up.folder / "prometheus-image"
    image.mkdir()
    shutil.copy(program, image / "prometheus")
    (image / "Dockerfile").write_text(
        "FROM debian:trixie-slim\nCOPY prometheus /bin/prometheus\n"
        'ENTRYPOINT ["/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml",'
        ' "--storage.tsdb.path=/prometheus"]\n'
    )
    stack = YAML(typ="safe").load(up.folder / "docker-compose.stack.yml")["services"]
    up.sh(f"docker build --network none -t docker.io/{stack['prometheus']['image']} {image}")
    settings = up.folder / "nginx/infergate.yaml"
    # podman's networks are others than Docker's.
    before = settings.read_text()
    settings.write_text(before.replace("# metrics: { networks: [172.16.0.0/12", PODMAN))
    assert settings.read_text() != before
    up.sh(f"docker exec {CONTAINER} nginx -s reload")
    both = "docker-compose -f docker-compose.yml -f docker-compose.stack.yml --profile monitoring"
    up.sh(f"{both} up -d --no-build prometheus")
    provisioned = YAML(typ="safe").load(up.folder / "monitoring/grafana-datasource.yml")
    url = provisioned["datasources"][0]["url"]

    def asked(path: str) -> dict[str, Any]:
        """As Grafana would: from a container beside it, at the address it is told."""
        ask = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
        said = up.sh(f"docker exec {CONTAINER} python3 -c '{ask}' '{url}{path}' 2>&1 || true")
        return json.loads(said)["data"] if said.startswith("{") else {}

    def value(query: str) -> list[str]:
        found = asked(f"/api/v1/query?query={quote(query)}").get("result", [])
        return [each["value"][1] for each in found]

    try:
        until(lambda: value('up{job="infergate"}') == ["1"], 120)
        until(lambda: value("sum(infergate_backend_up)") == ["2"], 120)
        groups = asked("/api/v1/rules")["groups"]
        named = {each["name"] for group in groups for each in group["rules"]}
        assert "InfergateBackendDown" in named
        bad = [r for group in groups for r in group["rules"] if r["health"] == "err"]
        assert bad == []
    finally:
        up.sh(f"{both} rm -s -f prometheus || docker rm -f $(docker ps -aq -f name=prometheus)")
        settings.write_text(before)
        up.sh(f"docker exec {CONTAINER} nginx -s reload")


def test_no_secret_gets_into_the_image(up: Machine) -> None:
    said = up.sh(
        "docker run --rm --no-healthcheck --network=none --user 0 --entrypoint find"
        " localhost/infergate:0.1.0 / -xdev '(' -name api_keys.conf -o -name .env ')'"
    )
    assert said.split() == []


def test_changes_of_the_page_work_as_printed(up: Machine) -> None:
    said = [do(up, block) for block in of("Changes", "Logs")]
    assert "test is successful" in said[0]
    assert "carol" in said[1]
    assert "alice" in said[1], "the key's usage is under its comment"
    assert "Infergate is up" in said[2], "docker logs has what Infergate says"
    assert "/api/generate" in said[2], "and the lines of the access log"
    assert json.loads(said[2].splitlines()[-1]), "which is in logs/ too"


def test_keys_and_servers_come_and_go_by_a_reload_while_a_stream_runs_on(up: Machine) -> None:
    behave = '\'{"chunk_delay_s": 1, "chunks": 40, "path_prefix": "/api/generate"}\''
    for address in ("192.168.1.101", "192.168.1.102"):
        up.sh(f"curl -sf http://{address}:11434/_control/behave -d {behave}")
    body = '\'{"model": "llama3", "prompt": "x"}\''
    stream = up.start("sh", "-c", f"curl -sN {GENERATE} -d {body}")
    assert stream.stdout is not None
    assert stream.stdout.readline()
    for address in ("192.168.1.101", "192.168.1.102"):
        up.sh(f"curl -sf http://{address}:11434/_control/behave -d '{{}}'")

    with (up.folder / KEYS).open("a") as file:
        file.write('"Bearer a-key-of-daves" 1; # dave\n')
    assert up.status("a-key-of-bobs") == "401"
    up.sh(f"docker exec {CONTAINER} nginx -s reload")
    assert up.status("a-key-of-daves") == "200", "it counts when the reload returns"

    up.ollama("192.168.1.103", "gpu3", "mistral")
    up.sh(f"sed -i '$aserver 192.168.1.103:11434 weight=2; # GPU Server 3' {SERVERS}")
    up.sh(f"docker exec {CONTAINER} nginx -s reload")
    until(lambda: "mistral" in models(up, "a-key-of-daves"))

    up.sh(f"sed -i '/daves/d' {KEYS}")
    up.sh(f"docker exec {CONTAINER} nginx -s reload")
    assert up.status("a-key-of-daves") == "401"
    assert up.status(KEY) == "200"

    up.sh(f"sed -i /192.168.1.103/d {SERVERS}")
    up.sh(f"docker exec {CONTAINER} nginx -s reload")
    until(lambda: "mistral" not in models(up))

    rest = stream.stdout.read().decode().splitlines()
    assert stream.wait(60) == 0
    assert json.loads(rest[-1])["done"], "the stream that was open meanwhile came to its end"


def test_a_reload_with_a_line_that_is_not_understood_fails_and_changes_nothing(
    up: Machine,
) -> None:
    for name, line, said in (
        (KEYS, '"Bearer sk-secret" 1', "line"),
        (SERVERS, "server 192.168.1.109:11434 weight;", "weight is no parameter"),
        (SERVERS, "server 192.168.1.109:114", "has no end"),
        ("nginx/infergate.yaml", "bakends: {}", "bakends"),
    ):
        before = (up.folder / name).read_text()
        (up.folder / name).write_text(f"{before}\n{line}\n")
        for words in ("nginx -t", "nginx -s reload"):
            told = up.sh(f"docker exec {CONTAINER} {words}", code=1)
            assert said in told
            assert "sk-secret" not in told
        assert up.status(KEY) == "200"
        (up.folder / name).write_text(before)
    up.sh(f"docker exec {CONTAINER} nginx -s reload")
    assert "/usr/sbin/nginx" not in up.sh(f"docker exec {CONTAINER} nginx -g x", code=2)


def test_a_container_that_was_killed_comes_back_with_its_keys_and_no_file_keeps_its_keys_out(
    up: Machine,
) -> None:
    made = up.sh(f"docker exec {CONTAINER} infergate keys create erin --json 2>/dev/null")
    erin = json.loads(made)["key"]
    (up.folder / KEYS).rename(up.folder / "aside")
    until(lambda: up.status(KEY) == "401")
    said = up.sh(may_be_unwell(f"docker exec {CONTAINER} infergate status"))
    assert "there is no file api_keys.conf" in said
    up.sh(f"docker kill --signal KILL {CONTAINER} && docker start {CONTAINER}")
    until(lambda: up.status(erin) == "200")
    assert up.status(KEY) == "401"
    (up.folder / "aside").rename(up.folder / KEYS)
    until(lambda: up.status(KEY) == "200")


def test_a_stop_lets_open_streams_finish(up: Machine) -> None:
    behave = '\'{"chunk_delay_s": 0.5, "chunks": 20, "path_prefix": "/api/generate"}\''
    for address in ("192.168.1.101", "192.168.1.102"):
        up.sh(f"curl -sf http://{address}:11434/_control/behave -d {behave}")
    body = '\'{"model": "llama3", "prompt": "x"}\''
    stream = up.start("sh", "-c", f"curl -sN {GENERATE} -d {body}")
    assert stream.stdout is not None
    assert stream.stdout.readline()
    up.sh("docker-compose stop")
    assert json.loads(stream.stdout.read().splitlines()[-1])["done"]
    for address in ("192.168.1.101", "192.168.1.102"):
        up.sh(f"curl -sf http://{address}:11434/_control/behave -d '{{}}'")
    up.sh("docker-compose start")
    until(lambda: up.status(KEY) == "200")


def test_upgrade_backup_and_removal_work_as_printed(up: Machine) -> None:
    made = up.sh(f"docker exec {CONTAINER} infergate keys create frank --json 2>/dev/null")
    frank = json.loads(made)["key"]
    for block in of("Upgrade"):
        do(up, block)
    until(lambda: up.status(frank) == "200")
    for block in of("Backup"):
        do(up, block)
    until(lambda: up.status(frank) == "200")
    assert (up.folder / "state-backup/gateway/state/store.db").is_file()
    down, with_volume = of("Removal")
    do(up, down)
    up.sh("docker-compose up -d")
    until(lambda: up.status(frank) == "200")
    do(up, with_volume)
    assert up.sh("docker volume ls --quiet").split() == []
    assert (up.folder / "logs/access.log").stat().st_size > 0
    assert up.sh("docker ps --all --quiet").split() == []


_ENGINE_IMAGE = """\
FROM debian:trixie-slim
COPY libgomp.so.1 /usr/lib/x86_64-linux-gnu/
COPY llama-server /usr/local/bin/
"""


def test_engines_of_the_page_are_containers_that_start_before_the_gateway(host: Machine) -> None:
    if reason := available("llamacpp"):
        pytest.skip(reason)
    folder = host.folder / "engines"
    (folder / "image").mkdir(parents=True)
    machine = Machine(host.netns, folder)
    llama = CACHE / "llamacpp"
    openmp = Path("/usr/lib/x86_64-linux-gnu/libgomp.so.1").resolve()
    for source, name in ((llama / "llama-server", "llama-server"), (openmp, "libgomp.so.1")):
        shutil.copy(source, folder / "image" / name)
    shutil.copy(llama / "tiny.gguf", folder / "words.gguf")
    (folder / "image/Dockerfile").write_text(_ENGINE_IMAGE)
    machine.sh("docker build --network=none --pull=never -t localhost/llama-server image")
    machine.sh("infergate deploy docker -o .")
    file, commands = (block for block in blocks("serve.md") if block.section == "In containers")
    text = file.text.replace("/srv/models", str(folder))
    own = (
        "image: localhost/llama-server\n    program: /usr/local/bin/llama-server\n    listen: 8001"
    )
    (folder / "nginx/infergate.yaml").write_text(text.replace("listen: 8001", own))
    deploy, up, status = commands.text.splitlines()
    down = f"{up.partition(' up ')[0]} down -v"
    machine.sh(deploy)
    secret = (folder / "keys.env").read_text().partition("SERVE_KEY=")[2].strip()
    with ExitStack() as left:
        left.callback(machine.sh, down)
        starting = machine.start("bash", "-c", up)
        # Where there is no systemd, podman asks for health only when it is told to.
        check = "docker healthcheck run infergate-serve-words"
        until(lambda: machine.sh(f"{check} > /dev/null 2>&1 && echo healthy || true"), 300)
        created = "docker ps --all --format '{{.Names}}'"
        assert starting.stdout is not None
        told = starting.stdout.read().decode()
        assert starting.wait(300) == 0, told
        assert set(machine.sh(created).split()) >= {CONTAINER, "infergate-serve-words"}

        def started(name: str) -> str:
            return machine.sh(f"docker inspect {name} --format '{{{{.State.StartedAt.UnixNano}}}}'")

        assert int(started("infergate-serve-words")) < int(started(CONTAINER))
        until(lambda: machine.status("nobody") == "401", 300)
        until(lambda: "words" in machine.sh(status))
        made = machine.sh(f"docker exec {CONTAINER} infergate keys create gina --json 2>/dev/null")
        key = json.loads(made)["key"]
        messages = '[{"role": "user", "content": "x"}]'
        body = f"""'{{"model": "words", "max_tokens": 4, "messages": {messages}}}'"""
        ask = f"curl -s http://127.0.0.1:8080/v1/chat/completions -d {body}"
        answer = json.loads(machine.sh(f"{ask} -H 'Authorization: Bearer {key}'"))
        assert answer["choices"][0]["message"]["role"] == "assistant"
        direct = ask.replace(":8080", ":8001") + " -o /dev/null -w '%{http_code}'"
        assert machine.sh(direct) == "401"
        shown = machine.sh("ps -efww")
        assert "--alias words" in shown
        assert secret not in shown
        bound = {line.split()[3] for line in machine.sh("ss -Hltn").splitlines()}
        assert {each for each in bound if each.endswith(":8001")} == {"127.0.0.1:8001"}
