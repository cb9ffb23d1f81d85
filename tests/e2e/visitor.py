"""A person before the page: Chromium without a window, driven by Playwright."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.backends.servers import free_port
from tests.gateway import Gateway, gateway, until

PATIENCE_MS = 60_000
"""A busy machine takes its time."""

WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}

_AXE = "axe.run(document, {resultTypes: ['violations']})"
_SERIOUS = ("serious", "critical")


@dataclass
class Visitor:
    """One browser window, logged in or not. wrong: what its console and network complained of."""

    page: Any
    url: str
    wrong: list[str] = field(default_factory=list)

    def log_in(self, token: str) -> None:
        self.page.goto(self.url + "/")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_selector(".frame")

    def go(self, room: str) -> Any:
        """To a room, by its address; the page when it is there."""
        self.page.goto(f"{self.url}/page/{room}")
        self.page.wait_for_selector(".room")
        self.gone(".room [role=status].none")
        return self.page

    def gone(self, selector: str) -> None:
        """When there is nothing like it any more. (wait_for_function would need `eval`, which the
        page's policy forbids to everybody.)"""
        until(lambda: self.page.locator(selector).count() == 0)

    def findings(self) -> list[str]:
        """What axe-core calls serious or critical."""
        found = self.page.evaluate(axe_source() + ";" + _AXE)
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:200]} {each['nodes'][0]['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in _SERIOUS
        ]

    def is_too_wide(self) -> bool:
        """Whether it has to be scrolled sideways."""
        return bool(
            self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )


def axe_source() -> str:
    """axe-core itself, as its package carries it."""
    package = Path(str(files("axe_playwright_python")))
    return next(package.rglob("axe.min.js")).read_text()


@contextmanager
def chromium() -> Iterator[Any]:
    """Skips the test where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium here")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        # Nothing but this machine: *.localhost is loopback (RFC 6761), all else does not resolve.
        browser = driver.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Any, url: str, *, size: Any = None, scheme: str = "light"
) -> Iterator[Visitor]:
    """A new window, with nothing of another one."""
    context = browser.new_context(viewport=size or WIDE, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    visitor = Visitor(context.new_page(), url)
    page = visitor.page
    page.on("pageerror", lambda error: visitor.wrong.append(str(error)))
    page.on(
        "console",
        lambda said: visitor.wrong.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("dialog", lambda dialog: (visitor.wrong.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((url, "data:"))
            else visitor.wrong.append(f"asked elsewhere: {asked.url}")
        ),
    )
    try:
        yield visitor
    finally:
        context.close()


@contextmanager
def gateway_with_page(config: str) -> Iterator[tuple[Gateway, str]]:
    """A gateway whose admin API listens on a port of this machine, and its address."""
    port = free_port()
    listen = f"admin: {{ listen: 127.0.0.1:{port} }}\n"
    with gateway("embedded", config + listen, forked=True) as it:
        yield it, f"http://127.0.0.1:{port}"


def token(it: Gateway, role: str, name: str = "") -> str:
    made = it.run("admin", "token", "create", name or f"{role}-token", "--role", role, "--json")
    return str(json.loads(made.stdout)["token"])
