"""How nginx answers banned networks no more: two files that it includes, and a reload.

Without a ban there is no file, so requests pay nothing. They are outside the revisions: bans come
and go without a new one, and hold after a restart before any Python runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from infergate.errors import StateError
from infergate.files import locked, write_atomically
from infergate.live.reload import reload_nginx
from infergate.paths import Home


def enforce(home: Home, networks: Iterable[str]) -> bool:
    """Let nginx close connections of these networks (CIDR) without an answer, and of no others.

    Returns whether that was anything new; then nginx was reloaded, if it runs.
    Raises StateError if the files cannot be written.
    """
    rows = "".join(f"    {network}  1;\n" for network in sorted(set(networks)))
    texts = {
        "networks.conf": f"geo $ig_banned {{\n    default  0;\n{rows}}}\n",
        # 444: nginx closes the connection.
        "refuse.conf": "if ($ig_banned) { return 444; }\n",
    }
    with locked(home.run / "apply.lock"):
        geo, refuse = (home.bans / name for name in texts)
        known = geo.read_text() if geo.exists() and refuse.exists() else None
        if known == (texts["networks.conf"] if rows else None):
            return False
        try:
            home.bans.mkdir(parents=True, exist_ok=True, mode=0o700)
            if rows:
                write_atomically(geo, texts["networks.conf"])
                write_atomically(refuse, texts["refuse.conf"])
            else:  # in this order: the second needs the first
                refuse.unlink(missing_ok=True)
                geo.unlink(missing_ok=True)
        except OSError as problem:
            raise StateError(
                f"cannot be written: {problem.strerror}", where=str(home.bans)
            ) from problem
        _reload(home)
    return True


def _reload(home: Home) -> None:
    try:
        reload_nginx(home)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return  # it does not run; it reads them when it starts
    except OSError as problem:
        raise StateError(
            f"nginx cannot be told of it: {os.strerror(problem.errno or 0)}",
            where=str(home.run / "nginx.pid"),
        ) from problem
