"""A scripted double of inference servers, with faults made on purpose. Not a real engine.

    python tests/backends/scripted.py --port N [--engine vllm|ollama|llamacpp|openai]
                                      [--models a,b] [--name NAME] [--host ADDRESS]

It answers the documented paths of the engine it plays. The text of an answer is the double's name;
`seen` beside it says what it was asked. It is told over /_control/ on the same port what to do:

    POST /_control/behave   a fault, as scripted_faults describes; {} ends all
    POST /_control/models   ["x", "y"]
    POST /_control/memory   {"holds": 1, "loaded": ["x"]}: of an Ollama, see scripted_ollama
    GET  /_control/memory   {"loads": ["x", "y"]}: what was loaded since then
    POST /_control/metrics  {"others": 5}, as scripted_metrics describes
    POST /_control/drop     reset every connection that waits for a request
    POST /_control/reset    forget requests and faults
    GET  /_control/requests what came in: method, path, headers, body, aborted, and when
    GET  /_control/stats    open, max_open, served, aborted
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from scripted_answers import Answer, Answers
from scripted_faults import Fault, Faults
from scripted_http import Request, Response, read_what_came, reset_idle, serve
from scripted_metrics import Metrics

FOREVER_S = 3600


class Backend:
    """The double: its answers, its faults, and what it has seen."""

    def __init__(self, engine: str, name: str, models: list[str]) -> None:
        self.answers = Answers(engine, name, models)
        self.faults = Faults(engine)
        self.metrics = Metrics()
        self.requests: list[dict] = []
        self.open = self.max_open = self.served = self.aborted = 0

    async def handle(self, request: Request, response: Response) -> None:
        """Answer one request. The counters are of POSTs, so that probes do not blur them."""
        if request.path.startswith("/_control/"):
            await self._control(request, response)
            return
        seen = {
            "method": request.method,
            "path": request.path,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "at_s": time.time(),
            "ended_s": None,
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
            seen["ended_s"] = time.time()
            self.open -= inference

    async def _answer(self, request: Request, response: Response) -> None:
        fault = self.faults.take(request.method, request.path)
        if fault.hold == "before_headers":
            await self.faults.held()
        await asyncio.sleep(FOREVER_S if fault.hang == "before_headers" else fault.delay_s)
        if fault.die == "before_headers":
            response.abort()
        elif fault.raw is not None:
            await response.raw(fault.raw.encode("latin-1"))
        elif fault.status is not None or fault.body is not None:
            body = fault.body if fault.body is not None else _MADE_ON_PURPOSE
            headers = {"content-type": "application/json", **fault.headers}
            await response.send(fault.status or 200, body.encode(), headers)
        elif request.path == "/metrics" and self.answers.engine == "vllm":
            status = 404 if self.metrics.hidden else 200
            text = self.metrics.text(self.open).encode()
            await response.send(status, text, {"content-type": "text/plain; version=0.0.4"})
        else:
            answer = self.answers.to(request, fault.chunks)
            await self._answer_well(answer, fault, response, produces=request.method == "POST")

    async def _answer_well(
        self, answer: Answer, fault: Fault, response: Response, *, produces: bool
    ) -> None:
        """The true answer, as far and as fast as the fault lets it. produces: tokens."""
        headers = {"content-type": answer.content_type, **fault.headers}
        if answer.chunks is None and fault.is_plain:
            self.metrics.tokens += 1 if produces else 0
            await response.send(answer.status, answer.body, headers)
            return
        pieces = answer.pieces()
        if answer.chunks is None:
            headers["content-length"] = str(len(answer.body))
        await response.start(answer.status, headers)
        if await self._broke_off("after_headers", fault, response):
            return
        await asyncio.sleep(fault.first_byte_delay_s)
        for number, piece in enumerate(pieces):
            # The body of an answer that is no stream breaks off in its middle.
            middle = fault.after_chunks if answer.chunks is not None else 1
            if number == middle and await self._broke_off("mid_stream", fault, response):
                return
            self.metrics.tokens += 1 if produces else 0
            await response.piece(piece)
            await asyncio.sleep(fault.chunk_delay_s)
        await response.end()

    async def _broke_off(self, place: str, fault: Fault, response: Response) -> bool:
        if fault.hang == place:
            await asyncio.sleep(FOREVER_S)
        if fault.hold == place:
            await self.faults.held()
        if fault.die == place:
            response.abort()
        return fault.die == place

    async def _control(self, request: Request, response: Response) -> None:
        what = request.path.removeprefix("/_control/")
        answer: object = {}
        status = 200
        try:
            given = json.loads(request.body) if request.body else None
            if what == "requests":
                answer = self.requests
            elif what == "stats":
                names = ("open", "max_open", "served", "aborted")
                answer = {name: getattr(self, name) for name in names}
            elif what == "behave":
                given = dict(given or {})
                self.answers.models = given.pop("models", self.answers.models)
                self.faults.set(given)
            elif what == "models":
                self.answers.models = given
            elif what == "memory":
                if given is not None:
                    self.answers.memory.set(**given)
                answer = {"loads": self.answers.memory.loads}
            elif what == "metrics":
                self.metrics.set(given)
            elif what == "drop":
                await reset_idle()
            elif what == "reset":
                await read_what_came()  # else it would be taken for the next test's
                self.faults.set({})
                self.metrics = Metrics(self.metrics.tokens)
                self.requests.clear()
                self.max_open = self.open
                self.served = self.aborted = 0
            else:
                status, answer = 404, {"error": f"there is no /_control/{what}"}
        except (ValueError, TypeError) as problem:
            status, answer = 400, {"error": str(problem)}
        body = json.dumps(answer).encode()
        await response.send(status, body, {"content-type": "application/json"})


_MADE_ON_PURPOSE = '{"error":{"message":"a fault made on purpose"}}'


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--models", default="m")
    parser.add_argument("--name", default="scripted")
    parser.add_argument("--tls", nargs=3, metavar=("PORT", "CERTIFICATE", "KEY"))
    options = parser.parse_args()
    backend = Backend(options.engine, options.name, options.models.split(","))
    tls = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls[1:])
        tls = (int(options.tls[0]), context)
    asyncio.run(serve(options.port, backend.handle, options.host, tls))


if __name__ == "__main__":
    main()
