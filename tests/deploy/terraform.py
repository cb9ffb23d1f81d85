"""Terraform on a machine without an account, and without a way to its registry."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

_MADE = """
mock_provider "aws" {
  mock_data "aws_availability_zones" { defaults = { names = ["us-west-2a", "us-west-2b"] } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/a" }
  }
  mock_resource "aws_launch_template" { defaults = { id = "lt-0123456789abcdef0" } }
  mock_resource "aws_s3_bucket" { defaults = { id = "%(bucket)s" } }
  mock_resource "aws_eip" { defaults = { public_ip = "%(address)s", allocation_id = "eipalloc-1" } }
}
run "made" {}
"""


def terraform(folder: Path, *words: str, code: int = 0) -> str:
    """What it prints. Skips the test where there is no Terraform."""
    environ = dict(os.environ)
    if not Path(environ.get("TF_CLI_CONFIG_FILE", os.devnull)).exists():
        environ["TF_CLI_CONFIG_FILE"] = os.devnull
    try:
        ran = subprocess.run(
            ["terraform", *words],
            cwd=folder,
            env=environ | {"TF_IN_AUTOMATION": "1", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    except FileNotFoundError:
        pytest.skip("there is no terraform on this machine, and no package index has it")
    assert ran.returncode == code, f"terraform {words}:\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def init(folder: Path) -> None:
    """With AWS' provider from the machine's own mirror. Skips the test where there is none."""
    for mirror in Path("/").glob("opt/*/*/hashicorp/aws"):
        terraform(folder, "init", f"-plugin-dir={mirror.parents[2]}")
        return
    try:
        terraform(folder, "init")
    except AssertionError as problem:
        pytest.skip(f"Terraform gets no provider for AWS here: {problem}")


def made(folder: Path, values: str, **known: str) -> dict[str, Any]:
    """Outputs of the module, as if AWS had made all of it. values: of its terraform.tfvars."""
    (folder / "terraform.tfvars").write_text(values)
    (folder / "tests/made.tftest.hcl").write_text(_MADE % known)
    (folder / "user_data.tf").write_text('output "user_data" { value = local.user_data }\n')
    said = terraform(folder, "test", "-json", "-verbose", "-filter=tests/made.tftest.hcl")
    for line in map(json.loads, said.splitlines()):
        if line["type"] == "test_state":
            outputs = line["test_state"]["outputs"]
            return {name: output["value"] for name, output in outputs.items()}
    raise AssertionError(said)
