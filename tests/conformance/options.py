"""What a run needs to know about the gateway under test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """url: with /v1, of the gateway. backend_ports: where it forwards `model` to; one or two.

    first_byte_timeout_s, idle_timeout_s: the time after which the gateway has promised a client
        its error, retries included; None skips the checks.
    streams: how many concurrent streams the load check opens.
    ready_s: how long to wait for the gateway to forward its first request.
    recover_s: how long to wait between checks until the gateway uses every backend again.
    only: part of "group: name" of the checks to run; empty for all.
    insecure: do not verify the gateway's certificate.
    """

    url: str
    key: str = ""
    model: str = "m"
    backend_ports: tuple[int, ...] = ()
    first_byte_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    streams: int = 2000
    ready_s: float = 30
    recover_s: float = 15
    only: str = ""
    insecure: bool = False
