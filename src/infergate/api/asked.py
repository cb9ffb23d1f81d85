"""How endpoints of the operator's own are, asked of the process that has them."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TIMEOUT_S = 2.0
_LONGEST = 4 * 1024**2


def endpoint_files(path: Path) -> list[Mapping[str, Any]]:
    """Each file of the folder (api/endpoints/manager.py). path: Home.endpoints_socket. Where nobody
    answers, or nonsense, one entry says so: that process is another user's."""
    connection = http.client.HTTPConnection("localhost")
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(_TIMEOUT_S)
        connection.sock.connect(str(path))
        connection.request("GET", "/")
        said = json.loads(connection.getresponse().read(_LONGEST))
        return [_sound(each) for each in said["files"]]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as problem:
        why = f"the endpoints' process does not answer: {problem or type(problem).__name__}"
        return [{"file": "", "endpoints": [], "problem": why, "line": 0}]
    finally:
        connection.close()


def _sound(said: Any) -> Mapping[str, Any]:
    """Raises TypeError, KeyError or ValueError."""
    return {
        "file": str(said["file"]),
        "endpoints": [str(each) for each in said["endpoints"]],
        "problem": str(said["problem"]),
        "line": int(said["line"]),
    }
