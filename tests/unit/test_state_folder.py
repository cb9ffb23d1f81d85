"""The modes of the state folder's folders."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from infergate.nginx.folders import prepare_home
from infergate.paths import Home
from infergate.state_folder import HOME_VARIABLE, ROOTS_FOLDER, home_for


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives workers another user")
def test_workers_are_never_locked_out_while_a_configuration_is_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    prepare_home(home, "nobody")
    before = {folder: folder.stat().st_mode for folder in (home.root, home.run, home.state)}
    changed: list[tuple[Path, int]] = []

    def fchmod(descriptor: int, mode: int) -> None:
        changed.append((Path(f"/proc/self/fd/{descriptor}").readlink(), mode))

    monkeypatch.setattr(os, "fchmod", fchmod)
    prepare_home(home, "nobody")
    assert {folder for folder, _ in changed} >= set(before)
    for folder, mode in changed:
        assert mode == before.get(folder, folder.stat().st_mode) & 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives workers another user")
def test_where_only_root_may_pass_a_new_gateway_keeps_its_state_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    with tempfile.TemporaryDirectory() as name:  # not pytest's own, which is closed
        parent, stack = Path(name), Path(name) / "stack"
        stack.mkdir()
        parent.chmod(0o755)
        assert home_for(stack / "infergate.yaml").root == stack / ".infergate"
        parent.chmod(0o700)
        elsewhere = home_for(stack / "infergate.yaml").root
        assert elsewhere.parent == ROOTS_FOLDER
        assert home_for(stack / "other.yaml").root == elsewhere
        (stack / ".infergate").mkdir()  # of an earlier version: it is not left behind in silence
        assert home_for(stack / "infergate.yaml").root == stack / ".infergate"
