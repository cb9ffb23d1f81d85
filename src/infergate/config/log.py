"""The access log beside the one that the ledger reads: for other programs, in their own formats."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infergate.config.base import Section

Format = Literal["json", "ecs", "main_ext", "vllm_logs"]

WRITTEN_BY_NGINX = ("main_ext", "vllm_logs")
"""They have what the line of JSON has not; that is written always."""

_SOCKET = re.compile(r"/[A-Za-z0-9_./@-]{1,106}")
_HOST_PORT = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]+\]):(\d{1,5})")


def _syslog(value: str) -> str:
    port = _HOST_PORT.fullmatch(value)
    if not _SOCKET.fullmatch(value) and not (port and 0 < int(port[1]) < 65536):
        raise ValueError(f"{value!r} is neither a socket like /dev/log nor like 10.0.0.9:514")
    return value


class Log(Section):
    """What is written of each request beside logs/access.log (docs/log.md)."""

    format: Format = Field(
        "json",
        description="json: the same line; ecs: Elastic's names; main_ext, vllm_logs: nginx's text.",
    )
    to: Literal["file", "stdout", "syslog"] = Field(
        "file",
        description="file: logs/FORMAT.log, none for json; stdout: of the control plane, so of a "
        "container or a unit; syslog: see there.",
    )
    syslog: Annotated[str, AfterValidator(_syslog)] = Field(
        "/dev/log", description="A socket of this machine, or host:port, by UDP."
    )
