"""`infergate deploy ec2`, as its own tools see it: terraform, checkov, cfn-lint, shellcheck."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infergate.cli.deploy import deploy
from tests.deploy import cloudformation
from tests.deploy.conftest import need_tools
from tests.deploy.terraform import init, made, terraform
from tests.scanners import CFN_LINT, CHECKOV

TEXT_003 = (
    *("region", "environment", "domain_name", "create_route53_records", "allowed_cidr_blocks"),
    *("email_address", "instance_type", "use_gpu_instance", "gpu_instance_type"),
    *("root_volume_size", "key_name", "app_port", "default_proxy_timeout", "max_proxy_timeout"),
    *("model_id", "max_model_len", "gpu_memory_utilization", "tensor_parallel_size"),
)
"""The variables of the solution that text 003 describes."""

NOT_IN_THE_STACK = {"region", "tags"}
"""A stack has both by itself."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, with a file in the package's place: what the package is, is for test_ec2.py."""
    need_tools()
    folder = tmp_path_factory.mktemp("ec2")
    package = folder / "infergate_0.1.0_amd64.deb"
    package.write_bytes(b"a package")
    deploy("ec2", folder / "gateway", package=package)
    return folder / "gateway"


@pytest.fixture(scope="module")
def module(written: Path) -> Path:
    init(written / "terraform")
    return written / "terraform"


@pytest.fixture(scope="module")
def stack(written: Path) -> dict[str, Any]:
    return cloudformation.read(written / "cloudformation/infergate.yaml")


def variables(written: Path) -> dict[str, str]:
    """The module's, with their defaults as they are written."""
    text = (written / "terraform/variables.tf").read_text()
    blocks = re.findall(r'(?ms)^variable "(\w+)" \{\n(.*?)^\}', text)
    found = {name: re.search(r"(?m)^  default += (.*)$", body) for name, body in blocks}
    return {name: default[1].strip('"') if default else "needed" for name, default in found.items()}


def test_terraform_takes_it_and_its_own_tests_pass(module: Path) -> None:
    terraform(module, "fmt", "-check", "-recursive", "-diff")
    assert json.loads(terraform(module, "validate", "-json"))["diagnostics"] == []
    assert "3 passed, 0 failed" in terraform(module, "test", "-filter=tests/gateway.tftest.hcl")


def test_the_variables_are_the_texts(written: Path) -> None:
    assert set(TEXT_003) <= set(variables(written))
    assert variables(written)["app_port"] == "8080"


def test_checkov_finds_nothing(written: Path) -> None:
    command = [str(CHECKOV), "-d", ".", "-o", "json", "--skip-download"]
    ran = subprocess.run(
        [*command, "--framework", "terraform", "cloudformation"],
        cwd=written,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    results = {each["check_type"]: each for each in json.loads(ran.stdout)}
    for name, least in (("terraform", 60), ("cloudformation", 10)):
        failed = [
            f"{each['check_id']} {each['resource']}"
            for each in results[name]["results"]["failed_checks"]
        ]
        assert failed == []
        assert results[name]["summary"]["passed"] >= least, "it has looked"


def test_cfn_lint_finds_nothing(written: Path) -> None:
    command = [str(CFN_LINT), "cloudformation/infergate.yaml"]
    ran = subprocess.run(
        command, cwd=written, capture_output=True, text=True, check=False, timeout=600
    )
    assert (ran.returncode, ran.stdout) == (0, "")


def test_shellcheck_has_nothing_to_say(written: Path) -> None:
    scripts = [
        path
        for path in (written / "instance").iterdir()
        if path.suffix != ".deb" and path.read_bytes().startswith(b"#!")
    ]
    assert len(scripts) >= 7
    command = ["shellcheck", "--severity=warning", *map(str, scripts)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.stdout == ""


def test_the_stack_asks_for_what_the_module_asks_for(written: Path, stack: dict[str, Any]) -> None:
    parameters = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): given.get("Default", "needed")
        for name, given in stack["Parameters"].items()
    }
    parameters = {name.replace("route53_", "route53_"): each for name, each in parameters.items()}
    ours = {name for name in variables(written) if name not in NOT_IN_THE_STACK}
    assert set(parameters) - ours == {"scripts_bucket"}, "the module makes its bucket itself"
    assert ours - set(parameters) == set()
    same = {name: str(default) for name, default in parameters.items() if name in ours}
    theirs = {name: default for name, default in variables(written).items() if name in ours}
    for name, default in theirs.items():
        if name not in ("ami_id", "key_name"):
            assert same[name] == default.strip('[]"'), name


def test_both_give_an_instance_the_same_and_less_than_aws_takes(
    module: Path, stack: dict[str, Any]
) -> None:
    values = 'domain_name = "example.org"\nemail_address = "ops@example.org"\n'
    outputs = made(module, values, bucket="scripts", address="192.0.2.1")
    parameters = {
        name: str(given.get("Default", "")) for name, given in stack["Parameters"].items()
    }
    of_stack = cloudformation.user_data(
        stack,
        parameters
        | {
            **{"DomainName": "example.org", "EmailAddress": "ops@example.org"},
            **{"ScriptsBucket": "scripts", "Address": "192.0.2.1"},
            **{"Address.AllocationId": "eipalloc-1", "AWS::Region": "us-west-2"},
            "AWS::StackName": "infergate",
        },
    )
    read = []
    for text in (outputs["user_data"], of_stack):
        assert text.startswith("#cloud-config\n")
        assert len(text.encode()) < 16 * 1024
        document = YAML(typ="safe").load(text)
        settings, bootstrap = document["write_files"]
        lines = settings["content"].splitlines()
        assigned = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        assert assigned.pop("GROUP", None) or assigned.pop("STACK"), "who is told that it serves"
        read.append((assigned, bootstrap, document["runcmd"], document["output"]))
    assert read[0] == read[1]
    assert read[0][1]["content"] == (module / "../instance/bootstrap.sh").read_text()


def test_the_role_may_little(stack: dict[str, Any]) -> None:
    policy = stack["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]
    for statement in policy["Statement"]:
        assert "*" not in json.dumps(statement["Action"])
        assert (statement["Resource"] == "*") == (statement["Sid"] == "SessionManager")
    readable = next(each for each in policy["Statement"] if each["Sid"] == "Secrets")["Resource"]
    assert [each["Sub"].split(":parameter")[1] for each in readable] == [
        "${HfTokenParameterName}",
        "/inference/${Environment}/backup_passphrase",
    ]


def test_the_hash_of_everything_fetched_is_in_the_user_data(written: Path) -> None:
    said = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"],
        cwd=written / "instance",
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0
    files = {path.name for path in (written / "instance").iterdir()}
    named = {line.split(":")[0] for line in said.stdout.splitlines()}
    assert files - named == {"SHA256SUMS", "infergate.yaml"}, "that one is yours and may change"
