"""Which processes are a gateway's, also where the kernel does not say where they work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infergate.processes import works_in


def test_one_that_works_elsewhere_is_another(tmp_path: Path) -> None:
    assert works_in(os.getpid(), Path.cwd())
    assert not works_in(os.getpid(), tmp_path)
    with pytest.raises(OSError):
        works_in(2**22 + 1, tmp_path)


def test_where_the_kernel_does_not_tell_its_owner_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> Path:
        raise PermissionError

    monkeypatch.setattr(Path, "readlink", refused)
    assert works_in(os.getpid(), tmp_path)
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, -1)
        assert not works_in(os.getpid(), tmp_path)
