"""MCP's own client and server, streamed and with a session: services below a path and at /."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from tests.backends.servers import free_port, scripted
from tests.gateway import Gateway, gateway, until


def _server() -> MCPServer:
    server = MCPServer("adder")

    @server.tool()
    async def add(a: int, b: int, context: Context) -> int:
        for step in (1, 2, 3):
            await context.report_progress(step, 3)
        return a + b

    return server


@pytest.fixture(scope="module")
def front(engine: str) -> Iterator[Gateway]:
    port = free_port()
    app = _server().streamable_http_app()
    program = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=program.run, daemon=True)
    thread.start()
    until(lambda: program.started)
    with ExitStack() as stack:
        backend = stack.enter_context(scripted())
        url = f"http://127.0.0.1:{port}"
        services = f"below: {{ url: {url}/mcp, path: /tools/ }}, whole: {{ url: {url}, path: / }}"
        config = f"backends: {{ a: {backend.url} }}\nservices: {{ {services} }}\n"
        yield stack.enter_context(gateway(engine, config))
    program.should_exit = True
    thread.join(60)


def _connected(it: Gateway, path: str, mode: Any) -> Client:
    http = create_mcp_http_client(headers=it.headers())
    return Client(streamable_http_client(it.url + path, http_client=http), mode=mode)


@pytest.mark.parametrize("path", ["/tools", "/mcp"])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_are_listed_and_called_and_their_progress_arrives(
    front: Gateway, path: str, mode: str
) -> None:
    heard: list[float] = []

    async def progress(done: float, _total: float | None, _message: str | None) -> None:
        heard.append(done)

    async def use() -> None:
        async with _connected(front, path, mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
            for a in (1, 2):
                answer = await client.call_tool("add", {"a": a, "b": 2}, progress_callback=progress)
                assert answer.structured_content == {"result": a + 2}

    asyncio.run(asyncio.wait_for(use(), 120))
    assert heard == [1, 2, 3] * 2


def test_an_address_with_a_slash_too_many_is_told_the_right_one(front: Gateway) -> None:
    answer = front.post("/tools/", {})
    assert answer.status_code == 307
    assert answer.headers["location"].removeprefix(front.url) == "/tools"
