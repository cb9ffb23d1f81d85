"""docs/install-ec2.md without AWS: the user data, run by cloud-init on a Debian 13."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy import aws, cloudformation, rootfs
from tests.deploy.conftest import need_tools
from tests.deploy.ec2 import Ec2, Instance, ec2
from tests.deploy.terraform import init, made
from tests.deploy.walk import blocks
from tests.gateway import until

pytestmark = pytest.mark.slow

PAGE = tuple(blocks("install-ec2.md"))
TFVARS = """\
region        = "us-west-2"
domain_name   = "example.org"
email_address = "ops@example.org"
model_id      = "Qwen/Qwen3-8B"
"""
TOKEN = "hf_double_of_a_token"


def of(section: str) -> list[str]:
    return [block.text for block in PAGE if block.section == section]


@pytest.fixture(scope="module")
def region(package: Path) -> Iterator[Ec2]:
    """With the page's folder in its bucket, and the token in SSM."""
    need_tools()
    if problem := rootfs.bring_ec2():
        pytest.fail(f"there is no Debian with cloud-init: {problem}")
    with ec2(package) as made_:
        write = of("From nothing to a streamed answer")[0]
        made_.host.sh(write.replace("ec2 -o", f"ec2 --package {package} -o"))
        file = folder(made_) / "instance/infergate.yaml"
        acme = f', directory: "{made_.told["directory"]}", ca: /etc/pebble.pem }}'
        text = file.read_text()
        file.write_text(text.replace('"${EMAIL_ADDRESS}" }', '"${EMAIL_ADDRESS}"' + acme))
        assert acme in file.read_text()
        made_.upload(folder(made_) / "instance")
        parameters = made_.folder / "parameters.json"
        parameters.write_text(json.dumps({"/inference/hf_token": TOKEN}))
        yield made_


def folder(region: Ec2) -> Path:
    return region.host.folder / "gateway"


@pytest.fixture(scope="module")
def first(region: Ec2) -> Instance:
    """The first instance, as Terraform launches it, when it serves."""
    module = folder(region) / "terraform"
    init(module)
    outputs = made(module, TFVARS, bucket=aws.BUCKET, address=aws.ADDRESS)
    instance = region.launch("153", outputs["user_data"])
    instance.serves()
    return instance


@pytest.fixture(scope="module")
def key(first: Instance) -> str:
    """The first key, with which the page's curl line was answered."""
    _, _, show, ask = of("From nothing to a streamed answer")
    found = first.sh(show).strip()
    said = asked(first.ec2, ask, found)
    assert said.count("data: {") > 1
    assert "data: [DONE]" in said
    return found


def asked(region: Ec2, command: str, key: str) -> str:
    """What a curl line of the page says to somebody with this key."""
    return region.host.sh(f"export INFERGATE_KEY='{key}'\n{from_elsewhere(region, command)}")


def from_elsewhere(region: Ec2, command: str) -> str:
    """A curl line of the page for a machine that knows the authority and the address that stays."""
    root = region.folder / "lets-encrypt.pem"
    if not root.exists():  # somebody may be reading it
        root.write_text(region.told["root"])
    there = f"curl --cacert {root} --resolve infer.example.org:443:{aws.ADDRESS}"
    return command.replace("curl ", f"{there} ", 1)


def get(region: Ec2, key: str, path: str) -> str:
    command = f"curl -sf https://infer.example.org{path} -H 'Authorization: Bearer {key}'"
    return asked(region, command, key)


def test_cloud_init_takes_the_user_data(first: Instance) -> None:
    assert "status: done" in first.sh("cloud-init status --wait || true")
    said = first.sh("cloud-init schema --system")
    assert "Valid schema user-data" in said
    assert first.sh("cat /run/cloud-init/cloud-id").strip() in ("aws", "ec2", "unknown")


def test_vllm_is_healthy_before_the_gateway_starts_and_after_a_reboot_too(
    first: Instance, key: str
) -> None:
    log = first.log()
    steps = re.findall(r"(?m)^infergate-ec2: ([a-z_]+)$", log)
    order = ("vllm", "gateway", "healthy", "address", "certificate", "told", "done")
    assert [step for step in steps if step in order] == list(order)
    healthy, began = first.moments()
    assert 0 < healthy <= began
    first.power_cycle()
    again, began = first.moments()
    assert again != healthy
    assert 0 < again <= began
    assert "Qwen/Qwen3-8B" in get(first.ec2, key, "/v1/models")


def test_it_has_a_certificate_and_took_the_address_when_it_was_healthy(
    first: Instance, key: str
) -> None:
    assert "https://infer.example.org is up" in first.log()
    assert [call["AllocationId"] for call in first.ec2.calls("ec2")] == ["eipalloc-1"]
    completed = first.ec2.calls("autoscaling")[-1]
    assert completed["LifecycleActionResult"] == "CONTINUE"
    assert completed["InstanceId"] == aws.INSTANCES["10.0.0.153"]
    order = [
        json.loads(line)["service"]
        for line in (first.ec2.folder / "calls.jsonl").read_text().splitlines()
    ]
    assert order.index("ec2") < order.index("autoscaling")


def test_secrets_are_read_by_the_role_and_shown_to_nobody(first: Instance, key: str) -> None:
    environment = first.sh("cat /etc/vllm/environment; stat -c '%a %U' /etc/vllm/environment")
    assert f"HF_TOKEN={TOKEN}" in environment
    assert "600 root" in environment
    passphrase = json.loads((first.ec2.folder / "parameters.json").read_text())[
        "/inference/production/backup_passphrase"
    ]
    assert first.sh("cat /etc/infergate/passphrase").strip() == passphrase
    assert first.sh("stat -c '%a %U' /etc/infergate/passphrase").strip() == "600 infergate"
    assert first.sh("stat -c '%a %U' /root/infergate-key").strip() == "600 root"
    told = first.log() + first.sh("journalctl -o cat; cat /var/log/cloud-init*.log")
    for secret in (TOKEN, passphrase, aws.SESSION, key, key[:14]):
        assert secret not in told


def test_the_engine_is_reached_from_the_instance_only(first: Instance, key: str) -> None:
    first.ec2.host.sh("curl -sf -m 10 http://10.0.0.153:8000/health", code=7)
    first.sh("curl -sf -m 10 http://127.0.0.1:8000/health")
    assert "Qwen/Qwen3-8B" in first.sh(
        f"curl -sf http://127.0.0.1:8080/v1/models -H 'Authorization: Bearer {key}'"
    )
    assert first.sh("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/v1/models") == (
        "401"
    )


def test_the_tools_of_the_page_are_there_and_all_is_well(first: Instance, key: str) -> None:
    said = first.sh(of("The order")[0])
    assert " 0 failed" in said
    first.sh("systemctl is-active inference-app.service")


def test_the_api_has_the_middle_tiers_paths(first: Instance, key: str) -> None:
    assert "running" in get(first.ec2, key, "/")
    assert "ok" in get(first.ec2, key, "/health")
    assert "infergate" in get(first.ec2, key, "/version").lower()


def test_a_changed_configuration_is_taken_over_and_a_mistake_is_not(
    first: Instance, key: str
) -> None:
    file = first.ec2.folder / "bucket/instance/infergate.yaml"
    good = file.read_text()
    take = of("Changes")[0]
    try:
        file.write_text(good.replace("backends:", "bakends:"))
        first.sh(take)
        assert "is not taken" in first.sh("journalctl -u infergate-ec2-keep -o cat")
        assert "Qwen/Qwen3-8B" in get(first.ec2, key, "/v1/models")
        file.write_text(good + "models: { one: { backends: [vllm], upstream_name: x } }\n")
        first.sh(take)
        assert '"one"' in get(first.ec2, key, "/v1/models")
    finally:
        file.write_text(good)
        first.sh(take)
    assert "Qwen/Qwen3-8B" in get(first.ec2, key, "/v1/models")


@contextmanager
def asked_all_along(region: Ec2, key: str) -> Iterator[Path]:
    """A client that asks for the models again and again; the file has a line for each answer.

    It ends here, not with the machine: what fails when the instances are taken away is no refusal.
    """
    answers, end = region.folder / "answers", region.folder / "end"
    ask = (
        "curl -s -o /dev/null -w '%{http_code} %{errormsg}\\n' https://infer.example.org/v1/models"
    )
    ask = from_elsewhere(region, f"{ask} -H 'Authorization: Bearer {key}'")
    loop = f"until [ -e {end} ]; do {ask} || true; done > {answers}"
    asking = region.host.start("bash", "-c", loop)
    try:
        until(lambda: answers.exists() and answers.stat().st_size > 0)
        yield answers
        end.touch()
        assert asking.wait(60) == 0
    finally:
        if asking.poll() is None:
            os.killpg(asking.pid, signal.SIGKILL)
            asking.wait()


def test_another_instance_takes_over_and_nobody_is_refused(first: Instance, key: str) -> None:
    region = first.ec2
    first.sh(of("Changes")[0])
    assert (region.folder / "bucket/state/gateway.backup").stat().st_size > 1000
    template = cloudformation.read(folder(region) / "cloudformation/infergate.yaml")
    given = {name: str(each.get("Default", "")) for name, each in template["Parameters"].items()}
    values = {
        **{"DomainName": "example.org", "EmailAddress": "ops@example.org"},
        **{"ModelId": "Qwen/Qwen3-8B", "ScriptsBucket": aws.BUCKET, "Address": aws.ADDRESS},
        **{"Address.AllocationId": "eipalloc-1", "AWS::Region": aws.REGION},
        **{"AWS::StackName": "infergate", "Ec2InstanceVersion": "2"},
    }
    with asked_all_along(region, key) as answers:
        second = region.launch("154", cloudformation.user_data(template, given | values))
        second.serves()
        seen = answers.stat().st_size
        until(lambda: answers.stat().st_size > seen + 50)
    others = {line for line in answers.read_text().splitlines() if line.strip() != "200"}
    assert not others, "with the same key and certificate"
    assert region.calls("cloudformation")[-1]["Status"] == "SUCCESS"
    assert region.calls("ec2")[-1]["InstanceId"] == aws.INSTANCES["10.0.0.154"]
    assert "there is no backup" not in second.log()
    second.sh("test ! -e /root/infergate-key")
    before = region.calls("s3")
    first.sh(of("Changes")[0])
    assert region.calls("s3") == before, "who has not the address leaves the backup alone"
