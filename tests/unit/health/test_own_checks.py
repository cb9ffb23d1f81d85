"""What an operator names as the sign of life, instead of what the engine offers."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from infergate.config.backends import Backend

pytestmark = pytest.mark.anyio


async def test_a_path_is_up_with_2xx_and_down_with_anything_else(
    box, engine_answers, running, until
) -> None:
    answers = {**engine_answers["openai"], "/v2/health/ready": (204, b"")}
    server = await box(answers)
    backend = {"url": server.url, "health": "/v2/health/ready"}
    async with running({"a": backend}) as monitor:
        await until(lambda: monitor.status("a").models)
        assert monitor.status("a").reason == "HTTP 204 from /v2/health/ready"
        server.answers["/v2/health/ready"] = (302, b"", {"location": "/"})
        await until(lambda: monitor.status("a").state == "down")
        assert monitor.status("a").reason == "HTTP 302 from /v2/health/ready"
        del server.answers["/v2/health/ready"]
        await until(lambda: "is health: /v2/health/ready right?" in monitor.status("a").reason)
        assert monitor.status("a").kind == "openai", "what runs there is as well known as before"


async def test_tcp_is_up_while_connections_are_accepted(box, running, until, silence) -> None:
    server = await box({"/v1/models": silence})
    async with running({"a": {"url": server.url, "health": "tcp"}}) as monitor:
        await until(lambda: monitor.status("a").state == "up")
        assert monitor.status("a").reason == "it accepts connections"
        await server.stop()
        await until(lambda: monitor.status("a").state == "down")
        assert monitor.status("a").reason == "connection refused"


async def test_tcp_to_a_name_that_does_not_resolve(probed) -> None:
    result = await probed("http://no-such-host.invalid:1", check="tcp")
    assert (result.ok, result.reason) == (False, "the name no-such-host.invalid does not resolve")


@pytest.mark.parametrize("check", ["", "udp", "health", "/a b", "/x?y=1", "http://x/"])
def test_other_checks_are_refused(check: str) -> None:
    with pytest.raises(ValidationError, match="is not auto, tcp, or a path"):
        Backend.model_validate({"url": "http://127.0.0.1", "health": check})
