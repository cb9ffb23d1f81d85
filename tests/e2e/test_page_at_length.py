"""The page where there is much of everything, where it stays open, and where others are gone."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from infergate.config.load import load_config
from infergate.config.policies import Grant
from infergate.paths import Home
from infergate.store.database import database_for
from infergate.store.key_changes import add_keys
from infergate.store.keys import StoredKey
from infergate.store.secrets import StoredSecret
from tests.backends.servers import scripted
from tests.e2e.visitor import Visitor, chromium, gateway_with_page, token, visiting
from tests.gateway import Gateway, until

KEYS, MODELS = 10_000, 200
MOST_KB = 200
"""What all files of a room and its data may weigh."""


def _key(number: int) -> StoredKey:
    digest = hashlib.sha256(b"page %d" % number).hexdigest()
    secret = StoredSecret(digest, "sk-ig-abcd", 1)
    return StoredKey("", f"user-{number}", 1, (secret,), Grant())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as it:
        yield it


@pytest.fixture(scope="module")
def much(browser: Any) -> Iterator[tuple[Gateway, Visitor]]:
    """A gateway with 10,000 keys and 200 models, and somebody who looks."""
    names = [f"model-{number}" for number in range(MODELS)]
    with ExitStack() as stack:
        backend = stack.enter_context(scripted(models=tuple(names)))
        it, url = stack.enter_context(gateway_with_page(f"backends: {{ gpu1: {backend.url} }}\n"))
        database = database_for(load_config(it.file).config, Home(it.home))
        add_keys(database, [_key(number) for number in range(KEYS)])
        database.close()
        until(lambda: it.status()["backends"][0]["models"])
        for name in names[:30]:
            it.chat(name)
        it.log()
        visitor = stack.enter_context(visiting(browser, url))
        visitor.log_in(token(it, "full"))
        yield it, visitor


@pytest.mark.parametrize("room", ["overview", "keys", "models", "requests"])
def test_ten_thousand_keys_and_200_models_are_a_page_like_any(
    much: tuple[Gateway, Visitor], room: str
) -> None:
    """What the browser has to load and draw is bounded; `pytest -s` says how long it took."""
    _, visitor = much
    page = visitor.go(room)
    page.get_by_role("row").nth(5).wait_for()
    loaded = page.evaluate(
        """() => performance.getEntriesByType('resource')
            .filter((each) => !each.name.endsWith('/live'))
            .reduce((sum, each) => sum + each.transferSize, 0)"""
    )
    paint = page.evaluate(
        "() => Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime)"
    )
    rows = page.get_by_role("row").count()
    print(f"\n{room}: first paint after {paint} ms, {loaded // 1024} KiB, {rows} rows")
    assert loaded < MOST_KB * 1024
    assert rows <= MODELS + 10


def test_one_of_ten_thousand_keys_is_found(much: tuple[Gateway, Visitor]) -> None:
    _, visitor = much
    page = visitor.go("keys")
    rows = page.get_by_role("region", name="Keys").get_by_role("row")
    until(lambda: rows.count() == 101)
    page.get_by_role("button", name="100 more").click()
    until(lambda: rows.count() == 201)
    page.get_by_label("Search keys").fill("USER-9876")
    until(lambda: rows.count() == 2)
    assert "user-9876" in rows.last.inner_text()
    page.get_by_label("Search keys").fill("no such key")
    page.get_by_text("No key has “no such key” in its name").wait_for()


@pytest.mark.slow
def test_a_page_that_is_open_for_an_hour_grows_nothing(much: tuple[Gateway, Visitor]) -> None:
    """An hour's news (1,800 messages, each with new requests) in one go, twice: after the second
    the page holds what it held after the first."""
    _, visitor = much
    context = visitor.page.context
    page = context.new_page()
    try:
        news = context.request.get(visitor.url + "/page/v1/live").json()
        request = news["requests"][0]

        def hour(begin: int) -> str:
            told = []
            for number in range(begin, begin + 1800):
                entry = {**request, "id": f"made-{number}", "status": 200 + number % 2 * 300}
                message = {**news, "at": time.time() + number, "requests": [entry]}
                told.append(f"event: live\ndata: {json.dumps(message)}\n\n")
            return "".join(told)

        hours = iter([hour(0), hour(10_000)])
        body = next(hours)
        answered: list[str] = []

        def answer(route: Any) -> None:
            if len(answered) < 2:
                answered.append("")
                text = body if len(answered) == 1 else next(hours)
                route.fulfill(content_type="text/event-stream", body="retry: 1000\n\n" + text)
            else:
                route.fulfill(content_type="text/event-stream", body="retry: 600000\n\n")

        page.route("**/page/live", answer)
        page.goto(visitor.url + "/page/requests")
        page.get_by_role("row").nth(5).wait_for()
        page.locator("tbody tr").first.filter(has_text=request["key"]).wait_for()
        _wait_for(page, lambda: bool(answered))
        seen = _held(page, context, after="made-1799")
        _wait_for(page, lambda: len(answered) >= 2)
        later = _held(page, context, after="made-11799")
        print(f"\nafter an hour: {seen}; after two: {later}")
        assert later["Nodes"] <= seen["Nodes"] * 1.1
        assert later["JSHeapUsedSize"] <= seen["JSHeapUsedSize"] * 1.2
        assert later["JSEventListeners"] <= seen["JSEventListeners"] * 1.1
    finally:
        page.close()


def _wait_for(page: Any, condition: Callable[[], bool]) -> None:
    """Playwright answers the page's requests only while it is asked for something itself."""
    until(lambda: page.wait_for_timeout(50) or condition())


def _held(page: Any, context: Any, after: str) -> dict[str, float]:
    """What the browser holds for the page once this request stands in it, without garbage."""
    until(lambda: after in _shown(page), timeout_s=600)
    session = context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    wanted = ("Nodes", "JSHeapUsedSize", "JSEventListeners")
    return {each["name"]: each["value"] for each in metrics if each["name"] in wanted}


def _shown(page: Any) -> str:
    """The ids of the requests that stand in the list."""
    return str(
        page.evaluate(
            "() => [...(document.querySelector('tbody').kept ?? new Map()).keys()].join()"
        )
    )


def _admin_api(it: Gateway) -> int:
    """Its process."""
    supervisor = it.status()["processes"]["supervisor"]
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    (found,) = [
        int(pid)
        for pid in children
        if b"infergate.admin" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def test_a_page_without_its_gateway_says_so_and_comes_back(browser: Any) -> None:
    """From the first day: nothing was asked, then something; the admin API hangs, and goes on;
    then the gateway is gone."""
    with ExitStack() as stack:
        backend = stack.enter_context(scripted())
        it, url = stack.enter_context(gateway_with_page(f"backends: {{ a: {backend.url} }}\n"))
        visitor = stack.enter_context(visiting(browser, url))
        visitor.log_in(token(it, "read"))
        page = visitor.go("overview")
        page.get_by_text("No requests in the last hour.").wait_for()  # the first day
        page.get_by_text("All is well.").wait_for()
        it.chat()
        page.get_by_role("columnheader", name="Tokens/s").wait_for()
        admin = _admin_api(it)
        os.kill(admin, signal.SIGSTOP)
        page.get_by_text("Not connected: numbers are from").wait_for()
        os.kill(admin, signal.SIGCONT)
        page.get_by_text("Live", exact=True).wait_for()
        nginx = it.status()["processes"]["nginx"]
        it.run("down", "--now")
        until(lambda: not os.path.exists(f"/proc/{nginx}"))  # noqa: PTH110
        page.get_by_role("link", name="Models", exact=True).click()
        page.get_by_text("the gateway cannot be reached").wait_for()
        assert page.get_by_role("button", name="Try again").is_visible()
