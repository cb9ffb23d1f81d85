"""What the wire backend is to write, byte for byte: steps, and which requests they are for.

A script is the whole answer as it goes over TCP, status line and chunk sizes included, because the
faults that gateways get wrong live exactly there. `answers` builds the usual ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

End = Literal["keep", "close", "reset", "hang"]

NUMBER = b"@@@@@@@@"
"""In a repeated step: replaced by the eight digits of the repetition, so that order shows."""


@dataclass(frozen=True)
class Step:
    """One write.

    pause_s: silence after it.
    repeat: how often it is written, NUMBER in it counting from zero.
    gate: wait for one release by the suite before it.
    ping_s: how often to write a comment while waiting at the gate, so that a long wait does not
        run into the gateway's idle timeout; 0 for never.
    with_usage: written only if the request has stream_options.include_usage, as vLLM does it.
    """

    data: bytes = b""
    pause_s: float = 0
    repeat: int = 1
    gate: bool = False
    ping_s: float = 0
    with_usage: bool = False

    def writes(self) -> Iterator[bytes]:
        if self.repeat == 1:
            yield self.data
            return
        for number in range(self.repeat):
            yield self.data.replace(NUMBER, b"%08d" % number)


@dataclass(frozen=True)
class Script:
    """One answer and the requests that get it.

    end: "keep" the connection for the next request, "close" it (FIN), "reset" it (RST) or "hang"
        until the other side leaves.
    times: for how many requests, counted over all ports; None means all.
    port: only there; None means everywhere.
    reused_only: only requests on a connection that has carried one before. With no steps and the
        end "close" that is a kept connection the backend closes as the next request comes.
    """

    steps: tuple[Step, ...] = ()
    end: End = "keep"
    times: int | None = None
    port: int | None = None
    reused_only: bool = False

    def to_json(self) -> dict[str, Any]:
        given = asdict(self)
        for step in given["steps"]:
            step["data"] = step["data"].decode("latin-1")
        return given

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Script:
        steps = tuple(
            Step(**{**step, "data": step["data"].encode("latin-1")}) for step in given["steps"]
        )
        return cls(**{**given, "steps": steps})
