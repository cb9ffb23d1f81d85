"""Batches at a gateway, by the official client, and the end of all its processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import openai
from openai import OpenAI
from openai.types import Batch

from infergate.store.batches import OPEN
from tests.gateway import Gateway, until


def client(it: Gateway, key: str | None = None) -> OpenAI:
    return OpenAI(api_key=key or it.key, base_url=f"{it.url}/v1", max_retries=0, timeout=60)


def requests(count: int, model: str = "m") -> bytes:
    return b"".join(
        json.dumps(
            {
                "custom_id": f"r{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": model, "messages": [{"role": "user", "content": f"n{number}"}]},
            }
        ).encode()
        + b"\n"
        for number in range(count)
    )


def begun(of: OpenAI, content: bytes) -> Batch:
    file = of.files.create(file=("in.jsonl", content), purpose="batch")
    return of.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )


def ended(of: OpenAI, batch: Batch, timeout_s: float = 60) -> Batch:
    found: list[Batch] = []

    def over() -> bool:
        found[:] = [of.batches.retrieve(batch.id)]
        return found[0].status not in OPEN

    until(over, timeout_s)
    return found[0]


def answers(of: OpenAI, id_: str | None) -> list[dict[str, Any]]:
    return [] if id_ is None else [json.loads(x) for x in of.files.content(id_).text.splitlines()]


def children(pid: int) -> list[int]:
    """Those that this process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def process_of(it: Gateway) -> int:
    """The one that runs batches: a child of this gateway's supervisor."""

    def found() -> list[int]:
        mine = []
        for pid in children(it.status()["processes"]["supervisor"]):
            with contextlib.suppress(OSError):
                if b"infergate.api.batches" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    mine.append(pid)
        return mine

    return int(until(found)[0])


def kill_9(it: Gateway) -> None:
    """All of this gateway, from above to below: so nobody starts another one. Only what the gateway
    itself says is its own, and what that has started."""
    told = it.status()["processes"]
    supervisor, master = told["supervisor"], told["nginx"]
    every = (supervisor, *children(supervisor), master, *children(master))
    for pid in dict.fromkeys(every):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: set(it.status()["processes"].values()) == {None})


def asked(of: OpenAI, batch: Batch) -> int:
    """Lines that are answered; 0 while nobody tells."""
    with contextlib.suppress(openai.APIError):
        counts = of.batches.retrieve(batch.id).request_counts
        return 0 if counts is None else counts.completed
    return 0
