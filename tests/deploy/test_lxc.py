"""Container 953, with real LXC: made by one command, cut at each step, and looked at."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from tests.deploy.conftest import deployed
from tests.deploy.hypervisor import ID, Hypervisor
from tests.gateway import until

CUTS = (
    r"lxc-usernsexec",
    r"^configure",
    r"lxc-start",
    r"953: packages",
    r"Unpacking nginx ",
    r"Setting up infergate",
    r"953: configuration",
    r"953: first_key",
    r"953: bans",
    r"^check",
)
"""What the orchestrator has printed when it is killed: in each step, and all along install."""


@pytest.fixture(scope="module")
def made(lxc: Hypervisor, package: Path) -> Hypervisor:
    """The container, after a run that was killed at each step and started again. 512 MB is what it
    needs to install and run."""
    lxc.stack()
    folder = deployed(lxc, package, memory_mb=512)
    plan = lxc.sh("phoenix/bin/phoenix_orchestrator.sh --dry-run")
    assert [line for line in plan.splitlines() if not line.startswith(" ")] == [
        *("create", "configure", "start", "install", "check")
    ]
    assert "lxc.net.0.hwaddr = 52:54:00:67:89:B3" in plan
    assert "lxc.net.0.ipv4.address = 10.0.0.153/24" in plan
    assert not (lxc.folder / "lxc").exists(), "a plan does nothing"
    for cut in CUTS:
        lxc.cut("phoenix/bin/phoenix_orchestrator.sh", cut)
    said = lxc.sh("phoenix/bin/phoenix_orchestrator.sh 953", timeout_s=600)
    assert " 0 failed" in said
    assert folder.is_dir()
    return lxc


def test_all_eight_backends_answer_through_it_and_the_validation_says_so(made: Hypervisor) -> None:
    said = made.sh("phoenix/bin/phoenix_orchestrator.sh --lxc 953 --action check")
    for name in ("vllm-qwen", "vllm-embedding", "ollama", "llamacpp"):
        assert f"ok      backend.{name} " in said
    for name in ("qdrant", "n8n", "webui", "portainer"):
        assert f"ok      service.{name} " in said
    assert "the nearest one found" in said
    assert "a WebSocket stands" in said
    assert "a webhook arrives" in said


def test_a_stream_is_answered_at_its_address_with_the_first_key(made: Hypervisor) -> None:
    key = made.inside("cat /root/infergate-key").strip()
    mode = made.inside("stat -c '%a %U' /root/infergate-key").strip()
    assert mode == "600 root"
    body = json.dumps({"model": "qwen3", "stream": True, "messages": []})
    said = made.sh(
        "curl -s http://10.0.0.153/ca.crt -o ca.crt && curl -sfN --cacert ca.crt"
        " --resolve api-gateway-lxc:443:10.0.0.153 https://api-gateway-lxc/v1/chat/completions"
        f" -H 'Authorization: Bearer {key}' -d '{body}'"
    )
    assert said.strip().endswith("data: [DONE]")
    pem = (made.folder / "ca.crt").read_text()
    assert ssl.PEM_cert_to_DER_cert(pem)


def test_it_is_hardened(made: Hypervisor) -> None:
    users = made.inside("ps -o user= -C nginx | sort -u").split()
    assert users == ["infergat+"] or users == ["infergate"]
    root = made.sh(f"stat -c %u lxc/{ID}/rootfs").strip()
    assert int(root) >= 100_000, "unprivileged: root in there is nobody out here"
    assert "active" in made.inside("systemctl is-active fail2ban").split()
    jails = made.inside("fail2ban-client status")
    for jail in ("infergate-wrong-key", "infergate-scanner", "infergate-waf"):
        assert jail in jails
    assert '"1"' in made.inside("apt-config dump APT::Periodic::Unattended-Upgrade")
    loaded = made.inside("grep -h ^load_module /var/lib/infergate/gateway/current/nginx.conf")
    assert set(loaded.split()[1::2]) <= {
        "/usr/lib/nginx/modules/ngx_http_js_module.so;",
        "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so;",
    }
    key = "$(cat /root/infergate-key)"
    code = f"curl -sk -o /dev/null -w '%{{http_code}}' -H \"Authorization: Bearer {key}\""
    attack = '"https://127.0.0.1/v1/models?q=<script>alert(1)</script>\'%20or%201=1--"'
    assert made.inside(f"{code} {attack}").strip() == "403", "the firewall refuses it"


def test_who_guesses_keys_is_banned_by_fail2ban(made: Hypervisor) -> None:
    made.sh("ip address add 10.0.0.66/32 dev vmbr0")
    ask = "curl -sk -m 2 -o /dev/null -w '%{http_code}\\n' --interface 10.0.0.66 https://10.0.0.153/v1/models"
    for _ in range(12):
        made.sh(f"{ask} -H 'Authorization: Bearer sk-wrong' || true")
    until(lambda: "10.0.0.66" in made.inside("fail2ban-client status infergate-wrong-key"))
    until(lambda: made.sh(f"{ask} || true").strip() == "000")
    assert made.sh(ask.replace("--interface 10.0.0.66 ", "")).strip() == "401"


def test_a_second_run_changes_nothing(made: Hypervisor) -> None:
    folders = "/etc/infergate /etc/fail2ban /etc/systemd /var/lib/phoenix /root"
    numbers = r'"\(revision\|nginx\|supervisor\)": [0-9]*'
    look = (
        f"find {folders} -type f -printf '%p %T@\\n' | sort;"
        f"infergate status --json 2> /dev/null | grep -o '{numbers}';"
        "systemctl show fail2ban -p MainPID"
    )
    before, config = made.inside(look), made.sh(f"stat -c %Y lxc/{ID}/config")
    said = made.sh("phoenix/bin/phoenix_orchestrator.sh")
    assert said.count("done already") == 4
    assert made.inside(look) == before
    assert made.sh(f"stat -c %Y lxc/{ID}/config") == config


def test_a_broken_backend_makes_it_red_with_the_reason(made: Hypervisor) -> None:
    fault = '{"status": 500, "body": "CUDA error", "path_prefix": "/v1/embeddings"}'
    control = "curl -sf http://10.0.0.151:8000/_control/behave -d"
    made.sh(f"{control} '{fault}'")
    try:
        said = made.sh("phoenix/bin/phoenix_orchestrator.sh --action check", code=14)
        assert "FAILED  backend.vllm-embedding" in said
        assert "CUDA error" in said
    finally:
        made.sh(f"{control} '{{}}'")


def test_a_changed_list_of_containers_is_taken_over_without_a_restart(made: Hypervisor) -> None:
    configs = made.folder / "phoenix/etc/phoenix_lxc_configs.json"
    document = json.loads(configs.read_text())
    del document["lxc_configs"]["157"]
    configs.write_text(json.dumps(document))
    package = next((made.folder / "phoenix/run").glob("*.deb"))
    master = made.inside("cat /var/lib/infergate/gateway/run/nginx.pid")
    made.sh(f"infergate deploy lxc -o phoenix --package {package}")
    said = made.sh("phoenix/bin/phoenix_orchestrator.sh")
    assert "llamacpp" not in said
    assert " 0 failed" in said
    assert made.inside("cat /var/lib/infergate/gateway/run/nginx.pid") == master


def test_a_version_that_does_not_answer_is_taken_back(made: Hypervisor) -> None:
    package = next((made.folder / "phoenix/run").glob("*.deb"))
    made.sh(
        f"dpkg-deb -R {package} broken && echo 'raise SystemExit(3)' >"
        " broken/usr/lib/infergate/lib/python3.13/site-packages/infergate/supervise/__main__.py"
        " && sed -i 's/^Version: .*/Version: 99/' broken/DEBIAN/control"
        " && dpkg-deb --root-owner-group -Zgzip -z1 -b broken infergate_99_amd64.deb"
    )
    made.sh("infergate deploy lxc -o phoenix --package infergate_99_amd64.deb")
    said = made.sh("phoenix/bin/phoenix_orchestrator.sh", code=13)
    assert "back to the one before" in said
    key = made.inside("cat /root/infergate-key").strip()
    until(
        lambda: (
            made.sh(
                "curl -sk -o /dev/null -w '%{http_code}' https://10.0.0.153/v1/models"
                f" -H 'Authorization: Bearer {key}' || true"
            ).strip()
            == "200"
        )
    )
