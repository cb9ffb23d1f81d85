"""One machine for the tests of a file, and the package, which is made once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import tools
from tests.deploy.hypervisor import Hypervisor, hypervisor
from tests.deploy.machine import Machine, machine
from tests.deploy.run import attempt


def need_tools() -> None:
    """Fails with the reason where they are not there."""
    if absent := tools.missing():
        missing = ", ".join(absent)
        pytest.fail(
            f"not there: {missing} (`python -m tests.deploy.tools` brings them, or says why not)"
        )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose image is built already: in its network nothing can be fetched."""
    need_tools()
    tools.settle()
    folder = Path(tmp_path_factory.mktemp("machine"))
    folder.chmod(0o755)
    with machine(folder) as made:
        tools.build(folder / "image")
        made.ollama("192.168.1.101", "gpu1", "llama3")
        made.ollama("192.168.1.102", "gpu2", "llama3")  # ollama-gpu2.internal
        yield made


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb of this source."""
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "infergate", "deploy", "deb", "-o", str(folder)]
    problem = attempt(command, 900)
    assert problem is None, problem
    return next(folder.glob("*.deb"))


@pytest.fixture(scope="module")
def lxc() -> Iterator[Hypervisor]:
    """A machine for containers of LXC."""
    need_tools()
    with hypervisor() as made:
        yield made
