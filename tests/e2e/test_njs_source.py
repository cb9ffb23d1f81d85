"""njs' files are right by ESLint, and by TypeScript's compiler with nginx' own types."""

from __future__ import annotations

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from tests.backends.servers import available
from tests.cache import CACHE


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The files of njs/, and the packages of the two beside them."""
    if reason := available("njs"):
        pytest.skip(reason)
    (tmp_path / "node_modules").symlink_to(CACHE / "njs" / "node_modules")
    folder = tmp_path / "njs"
    shutil.copytree(str(resources.files("infergate.nginx") / "njs"), folder)
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    program = folder.parent / "node_modules" / ".bin" / command[0]
    node = CACHE / "njs" / "bin" / "node"
    return subprocess.run(
        [str(node), str(program.resolve()), *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("command", [("tsc", "-p", "."), ("eslint", ".")])
def test_nothing_is_found_in_njs_files(files: Path, command: tuple[str, ...]) -> None:
    ran = run(files, *command)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_name_that_another_file_does_not_export_is_found(files: Path) -> None:
    (files / "hot.js").write_text(
        "import * as state from './state.js';\nexport const x = state.nobody;\n"
    )
    assert "nobody" in run(files, "tsc", "-p", ".").stdout
