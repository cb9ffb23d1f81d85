"""The modes of the state folder's folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infergate.nginx.folders import prepare_home
from infergate.paths import Home


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
