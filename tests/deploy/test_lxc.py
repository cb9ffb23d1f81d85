"""Container 953 with real LXC, as docs/install-lxc.md says: by one command, cut at each step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.deploy.hypervisor import ID, Hypervisor
from tests.deploy.walk import blocks
from tests.gateway import until

pytestmark = pytest.mark.slow

PAGE = tuple(blocks("install-lxc.md"))
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


def of(section: str) -> list[str]:
    return [block.text for block in PAGE if block.section == section]


def do(machine: Hypervisor, text: str, key: str = "") -> str:
    """What a block of the page says; the package is not made once more for each."""
    package = machine.folder / "package.deb"
    text = text.replace("deploy lxc -o phoenix", f"deploy lxc -o phoenix --package {package}")
    text = re.sub(r"\b(lxc-\w+) ", r"\1 -P $LXC_PATH ", text)
    return machine.sh(f"export INFERGATE_KEY='{key}'\n{text}", timeout_s=600)


def change(machine: Hypervisor, **changed: object) -> None:
    """Something of the gateway's entry, and the files again."""
    configs = machine.folder / "phoenix/etc/phoenix_lxc_configs.json"
    document = json.loads(configs.read_text())
    document["lxc_configs"]["953"] |= changed
    configs.write_text(json.dumps(document))
    do(machine, of("Changes")[0].splitlines()[0])


@pytest.fixture(scope="module")
def made(lxc: Hypervisor, package: Path) -> Hypervisor:
    """The container, after a run that was killed at each step and started again. 512 MB is what it
    needs to install and run."""
    lxc.stack()
    (lxc.folder / "package.deb").symlink_to(package)
    write, bring, _, _ = of("From nothing to a streamed answer")
    do(lxc, write)
    assert "Nothing is to be written" in do(lxc, write)
    change(lxc, memory_mb=512)
    plan = lxc.sh(bring.splitlines()[0])
    assert [line for line in plan.splitlines() if not line.startswith(" ")] == [
        *("create", "configure", "start", "install", "check")
    ]
    assert "lxc.net.0.hwaddr = 52:54:00:67:89:B3" in plan
    assert "lxc.net.0.ipv4.address = 10.0.0.153/24" in plan
    assert not (lxc.folder / "lxc").exists(), "a plan does nothing"
    for cut in CUTS:
        lxc.cut("phoenix/bin/phoenix_orchestrator.sh", cut)
    assert " 0 failed" in do(lxc, bring)
    return lxc


def test_all_eight_backends_answer_through_it_and_the_validation_says_so(made: Hypervisor) -> None:
    said = do(made, of("Is it well?")[0])
    for name in ("vllm-qwen", "vllm-embedding", "ollama", "llamacpp"):
        assert f"ok      backend.{name} " in said
    for name in ("qdrant", "n8n", "webui", "portainer"):
        assert f"ok      service.{name} " in said
    assert "the nearest one found" in said
    assert "a WebSocket stands" in said
    assert "a webhook arrives" in said


def test_a_stream_is_answered_at_its_address_with_the_first_key(made: Hypervisor) -> None:
    _, _, show, ask = of("From nothing to a streamed answer")
    key = do(made, show).strip()
    said = do(made, ask, key)
    assert said.count("data: {") > 1
    assert "data: [DONE]" in said
    assert made.inside("stat -c '%a %U' /root/infergate-key").strip() == "600 root"
    trusted = "curl -sf --cacert infergate-ca.crt --resolve api-gateway-lxc:443:10.0.0.153"
    models = f"https://api-gateway-lxc/v1/models -H 'Authorization: Bearer {key}'"
    assert "qwen3" in made.sh(f"{trusted} {models}"), "with the CA, without -k"


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
    assert set(loaded.replace('"', "").split()[1::2]) <= {
        "/usr/lib/nginx/modules/ngx_http_js_module.so;",
        "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so;",
    }
    key = "$(cat /root/infergate-key)"
    code = f"curl -sk -o /dev/null -w '%{{http_code}}' -H \"Authorization: Bearer {key}\""
    attack = '"https://127.0.0.1/v1/models?q=<script>alert(1)</script>\'%20or%201=1--"'
    assert made.inside(f"{code} {attack}").strip() == "403", "the firewall refuses it"


def test_shellcheck_has_nothing_to_say(made: Hypervisor) -> None:
    made.sh("shellcheck --severity=warning phoenix/bin/*.sh")


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


def test_more_memory_counts_from_a_restart_that_it_makes(made: Hypervisor) -> None:
    change(made, memory_mb=1000)
    said = do(made, of("Changes")[0])
    assert "lxc-stop" in said
    assert " 0 failed" in said
    limits = "cat /sys/fs/cgroup/memory/lxc.payload.953*/memory.limit_in_bytes"
    both = f"{limits} 2> /dev/null || cat /sys/fs/cgroup/lxc.payload.953*/memory.max"
    assert str(1000 * 1024**2) in made.sh(both).split()


def test_a_changed_list_of_containers_is_taken_over_without_a_restart(made: Hypervisor) -> None:
    configs = made.folder / "phoenix/etc/phoenix_lxc_configs.json"
    document = json.loads(configs.read_text())
    del document["lxc_configs"]["157"]
    configs.write_text(json.dumps(document))
    master = made.inside("cat /var/lib/infergate/gateway/run/nginx.pid")
    said = do(made, of("Changes")[0])
    assert "llamacpp" not in said
    assert " 0 failed" in said
    assert made.inside("cat /var/lib/infergate/gateway/run/nginx.pid") == master


def test_a_version_that_does_not_answer_is_taken_back(made: Hypervisor) -> None:
    made.sh(
        "dpkg-deb -R package.deb broken && echo 'raise SystemExit(3)' >"
        " broken/usr/lib/infergate/lib/python3.13/site-packages/infergate/supervise/__main__.py"
        " && sed -i 's/^Version: .*/Version: 99/' broken/DEBIAN/control"
        " && dpkg-deb --root-owner-group -Zgzip -z1 -b broken infergate_99_amd64.deb"
    )
    made.sh("infergate deploy lxc -o phoenix --package infergate_99_amd64.deb")
    said = made.sh("phoenix/bin/phoenix_orchestrator.sh", code=13, timeout_s=600)
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


def test_backup_and_removal_work_as_printed(made: Hypervisor) -> None:
    do(made, of("Backup")[0])
    assert "gateway.backup" in made.inside("ls /var/backups/infergate")
    do(made, of("Removal")[0])
    assert not (made.folder / "lxc" / ID / "rootfs").exists()
