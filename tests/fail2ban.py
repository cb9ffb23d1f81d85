"""fail2ban and nft for end-to-end tests: Debian's packages, unpacked, not installed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from infergate.engine.debian import package_name, unpack
from infergate.engine.debian_apt import download, require_tools
from infergate.engine.debian_mirror import machine_mirrors
from infergate.errors import EngineError
from tests.cache import CACHE

_ROOT = CACHE / "fail2ban"
_NOT_NEEDED = ("python3", "libpython3", "nginx", "dpkg", "debconf")


def unpacked() -> Path:
    """The folder they are unpacked below. Raises EngineError where they cannot be had."""
    if _ROOT.exists():
        return _ROOT
    require_tools()
    mirrors = machine_mirrors()
    if mirrors is None:
        raise EngineError("apt on this machine has no Debian mirror")
    CACHE.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".fail2ban-", dir=CACHE))
    try:
        work.chmod(0o711)
        for package in download(("fail2ban", "nftables"), mirrors, work / "apt", print):
            if not package_name(package).startswith(_NOT_NEEDED):
                unpack(package, work / "root")
        _wrap_nft(work / "root")
        (work / "root").rename(_ROOT)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _ROOT


def _wrap_nft(root: Path) -> None:
    """nft with the libraries it came with, under the name that fail2ban calls."""
    loader = next(iter(sorted((root / "usr/lib").glob("*-linux-gnu*/ld-linux-*.so.*"))))
    loader = _ROOT / loader.relative_to(root)
    wrapper = root / "bin/nft"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\nexec {loader} --library-path {loader.parent} {_ROOT}/usr/sbin/nft "$@"\n'
    )
    wrapper.chmod(0o755)
