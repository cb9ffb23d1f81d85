"""The gateway on an instance of EC2 (text 003): a Terraform module, and the same as a stack."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from infergate.deploy import deb
from infergate.deploy.folder import File
from infergate.deploy.templates import rendered, template
from infergate.errors import StateError

_INSTANCE = "instance/"
_CONFIGURATION = f"{_INSTANCE}infergate.yaml"
_SUMS = f"{_INSTANCE}SHA256SUMS"
_YOURS = frozenset((_CONFIGURATION, "terraform/terraform.tfvars"))

NEXT_STEPS = (
    "$EDITOR terraform/terraform.tfvars",
    "terraform -chdir=terraform init",
    "terraform -chdir=terraform apply",
)


def files(package: Path | None) -> Sequence[File]:
    """All of them. package: a .deb that is there already; made if None.

    The user data has the hash of instance/SHA256SUMS, and that the hashes of what the instance
    fetches; of all but its configuration, which is yours and may change while it runs.
    """
    name, content = deb.given(package)
    values = {
        "version": metadata.version("infergate"),
        "package": name,
        "bootstrap": template("ec2", f"{_INSTANCE}bootstrap.sh"),
    }
    fetched = {
        path.removeprefix(_INSTANCE): text.encode()
        for path, text in rendered("ec2", sums_sha256="", **values)
        if path.startswith(_INSTANCE) and path != _CONFIGURATION
    }
    sums = _sums(fetched | {name: content})
    values["sums_sha256"] = hashlib.sha256(sums).hexdigest()
    made = [
        File(path, text.encode(), yours=path in _YOURS) for path, text in rendered("ec2", **values)
    ]
    return (*made, File(f"{_INSTANCE}{name}", content), File(_SUMS, sums))


def _sums(fetched: Mapping[str, bytes]) -> bytes:
    """As `sha256sum --check` reads them."""
    lines = (
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in fetched.items()
    )
    return "".join(lines).encode()


def commands() -> Sequence[Sequence[str]]:
    """What makes it in the account at hand; Terraform shows its plan and asks. Raises StateError
    where there is no Terraform."""
    if shutil.which("terraform") is None:
        raise StateError(
            "there is no terraform on this machine",
            hint="Install it, or make a stack of cloudformation/infergate.yaml.",
        )
    terraform = ("terraform", "-chdir=terraform")
    return ((*terraform, "init"), (*terraform, "apply"))
