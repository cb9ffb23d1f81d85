"""One machine for the tests of a file, with the gateway that docs/install-docker.md sets up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import tools
from tests.deploy.machine import Machine, machine


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose image is built already: in its network nothing can be fetched."""
    if absent := tools.missing():
        pytest.skip(f"not there: {', '.join(absent)} (`python -m tests.deploy.tools` brings them)")
    tools.settle()
    folder = Path(tmp_path_factory.mktemp("machine"))
    folder.chmod(0o755)
    with machine(folder) as made:
        tools.build(folder / "image")
        made.ollama("192.168.1.101", "gpu1", "llama3")
        made.ollama("192.168.1.102", "gpu2", "llama3")  # ollama-gpu2.internal
        yield made
