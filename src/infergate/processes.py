"""Whether a process is one of a gateway's, asked of the kernel."""

from __future__ import annotations

from pathlib import Path


def works_in(pid: int, folder: Path) -> bool:
    """Whether it works in this folder, as all processes of a gateway do in its state folder; one
    that was given the number of one that has ended does not.

    Of a process with a capability that we do not have, such as that of ports below 1024, the kernel
    tells only whose it is (ptrace(2), access mode checking): then that has to do.
    Raises OSError if there is none.
    """
    process = Path(f"/proc/{pid}")
    try:
        return (process / "cwd").readlink() == folder.resolve()
    except PermissionError:
        return process.stat().st_uid == folder.stat().st_uid
