"""A scripted double of inference servers, with faults made on purpose. Not a real engine.

    python tests/backends/scripted.py --port N [--engine vllm|ollama|llamacpp|openai]
                                      [--models a,b] [--name NAME]

It answers the documented paths of the engine it plays and says in each answer who it is and what it
was asked. What it shall do wrong is told over /_control/ on the same port:

    POST /_control/behave   {"path_prefix": "/v1/", "status": 503, "times": 2, …}; {} ends all
    POST /_control/models   ["x", "y"]
    POST /_control/reset    forget requests and faults
    GET  /_control/requests what came in: method, path, headers, body, aborted
    GET  /_control/stats    open, max_open, served, aborted
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from scripted_answers import Answers
from scripted_http import Request, Response, serve


class Faults:
    """What to do wrong, and how often."""

    def __init__(self) -> None:
        self._active: list[dict] = []

    def set(self, fault: dict) -> None:
        self._active = [*self._active, dict(fault)] if fault else []

    def take(self, path: str) -> dict:
        for fault in self._active:
            if path.startswith(fault.get("path_prefix", "/")) and fault.get("times", 1) > 0:
                if "times" in fault:
                    fault["times"] -= 1
                return fault
        return {}


class Backend:
    """The double: its answers, its faults, and what it has seen."""

    def __init__(self, engine: str, name: str, models: list[str]) -> None:
        self.answers = Answers(engine, name, models)
        self.faults = Faults()
        self.requests: list[dict] = []
        self.open = self.max_open = self.served = self.aborted = 0

    async def handle(self, request: Request, response: Response) -> None:
        if request.path.startswith("/_control/"):
            await self._control(request, response)
            return
        seen = {
            "method": request.method,
            "path": request.path,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "aborted": False,
        }
        self.requests.append(seen)
        inference = request.method == "POST"
        self.open += inference
        self.max_open = max(self.max_open, self.open)
        try:
            await self._answer(request, response)
            self.served += inference
        except (ConnectionError, asyncio.CancelledError):
            seen["aborted"] = True
            self.aborted += inference
            raise
        finally:
            self.open -= inference

    async def _answer(self, request: Request, response: Response) -> None:
        fault = self.faults.take(request.path)
        if fault.get("hang"):
            await asyncio.sleep(3600)
        await asyncio.sleep(fault.get("delay_s", 0))
        if fault.get("die") == "before_headers":
            response.abort()
            return
        if "status" in fault:
            body = fault.get("body", '{"error":{"message":"a fault made on purpose"}}').encode()
            await response.send(fault["status"], body, fault.get("headers", {}))
            return
        answer = self.answers.to(request, chunks=fault.get("chunks", 5))
        if answer.chunks is None:
            await response.send(answer.status, answer.body, {"content-type": answer.content_type})
            return
        await response.start(answer.status, {"content-type": answer.content_type})
        if fault.get("die") == "after_headers":
            response.abort()
            return
        for number, chunk in enumerate(answer.chunks):
            if fault.get("die") == "mid_stream" and number == 2:
                response.abort()
                return
            await response.chunk(chunk)
            await asyncio.sleep(fault.get("chunk_delay_s", 0))
        await response.end()

    async def _control(self, request: Request, response: Response) -> None:
        what = request.path.removeprefix("/_control/")
        given = json.loads(request.body) if request.body else None
        answer: object = {}
        if what == "requests":
            answer = self.requests
        elif what == "stats":
            names = ("open", "max_open", "served", "aborted")
            answer = {name: getattr(self, name) for name in names}
        elif what == "behave":
            self.faults.set(given)
        elif what == "models":
            self.answers.models = given
        elif what == "reset":
            self.faults.set({})
            self.requests.clear()
            self.max_open = self.served = self.aborted = 0
        body = json.dumps(answer).encode()
        await response.send(200, body, {"content-type": "application/json"})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--models", default="m")
    parser.add_argument("--name", default="scripted")
    options = parser.parse_args()
    backend = Backend(options.engine, options.name, options.models.split(","))
    asyncio.run(serve(options.port, backend.handle))


if __name__ == "__main__":
    main()
