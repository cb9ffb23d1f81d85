"""The page in a real browser: each room with real requests through a real gateway."""

from __future__ import annotations

import csv
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backends.servers import scripted
from tests.e2e.visitor import PHONE, WIDE, Visitor, chromium, gateway_with_page, token, visiting
from tests.gateway import Gateway, until

ROOMS = [
    path.stem
    for path in sorted((Path(__file__).parents[2] / "src/infergate/page/assets/rooms").glob("*.js"))
    if "export async function show" in path.read_text()
]
SHOTS = os.environ.get("INFERGATE_SCREENSHOTS")
"""A folder for pictures of each room, for docs/ and for somebody to look at."""

EVIL = "<img src=x onerror=alert(1)>"


@dataclass
class Front:
    """A gateway with requests, and who may look at it. full, read: tokens."""

    gateway: Gateway
    url: str
    full: str
    read: str
    browser: Any


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(models=("qwen-2.5-7b-instruct",), name="a"))
        b = stack.enter_context(
            scripted(models=("qwen-2.5-7b-instruct", EVIL, "千问" * 100), name="b")
        )
        it, url = stack.enter_context(
            gateway_with_page(f"""
backends:
  gpu1: {{ url: {a.url}, max_in_flight: 8 }}
  gpu2: {b.url}
  gpu3: http://127.0.0.1:9
models:
  qwen-2.5-7b-instruct:
    backends: [gpu1, gpu2, gpu3]
    aliases: [gpt-4o-mini]
    price: {{ input: 0.5, output: 1.5 }}
  "*": [gpu2]
""")
        )
        until(lambda: all(each["models"] for each in it.status()["backends"][:2]))
        for number in range(12):
            it.chat("gpt-4o-mini", stream=bool(number % 2))
        it.chat("nobody-has-it")
        it.chat(EVIL, headers={"User-Agent": EVIL, "X-Request-Id": "mine-1"})
        it.log()
        browser = stack.enter_context(chromium())
        yield Front(it, url, token(it, "full"), token(it, "read"), browser)


@pytest.fixture(scope="module")
def logged_in(front: Front) -> Iterator[Visitor]:
    with visiting(front.browser, front.url) as visitor:
        visitor.log_in(front.full)
        yield visitor


@pytest.fixture
def visitor(logged_in: Visitor) -> Iterator[Visitor]:
    """Somebody who may change things; nothing may have gone wrong at the end."""
    logged_in.wrong.clear()
    yield logged_in
    assert logged_in.wrong == []


def test_a_wrong_token_is_told_and_a_right_one_lets_in(front: Front) -> None:
    with visiting(front.browser, front.url) as stranger:
        stranger.page.goto(front.url + "/page/keys")
        stranger.page.get_by_label("Token").fill("ig-admin-wrong")
        stranger.page.keyboard.press("Enter")
        stranger.page.get_by_role("alert").get_by_text("the token is not valid").wait_for()
        stranger.page.get_by_label("Token").fill(front.read)
        stranger.page.keyboard.press("Enter")
        stranger.page.get_by_text("may look and not change").wait_for()
        stranger.page.get_by_role("button", name="Log out").click()
        stranger.page.get_by_label("Token").wait_for()
        assert "infergate-page" not in {each["name"] for each in stranger.page.context.cookies()}


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("phone", "dark")])
def test_every_room_can_be_used_by_everybody(front: Front, size: str, scheme: str) -> None:
    """With a screen reader, on a phone, in the dark; and no room complains."""
    with visiting(
        front.browser, front.url, size=PHONE if size == "phone" else WIDE, scheme=scheme
    ) as visitor:
        visitor.page.goto(front.url + "/")
        visitor.page.get_by_label("Token").wait_for()
        _look(visitor, "login", size, scheme)
        visitor.log_in(front.full)
        for room in ROOMS:
            visitor.go(room)
            visitor.page.locator(".side").get_by_text("Live", exact=True).wait_for(state="attached")
            _look(visitor, room, size, scheme)
        assert visitor.wrong == []


def _look(visitor: Visitor, room: str, size: str, scheme: str) -> None:
    if SHOTS:
        name = f"{room}-{size}-{scheme}.png"
        visitor.page.screenshot(path=str(Path(SHOTS) / name))
    assert visitor.findings() == [], room
    assert not visitor.is_too_wide(), room


def test_the_overview_says_what_goes_on(front: Front, visitor: Visitor) -> None:
    page = visitor.go("overview")
    page.get_by_text("1 backend is out: gpu3.").wait_for()
    row = page.get_by_role("region", name="Models").get_by_role("row").filter(has_text="qwen-2.5")
    before = int(row.get_by_role("cell").last.inner_text())
    assert before >= 12
    front.gateway.chat("gpt-4o-mini")
    row.get_by_role("cell").last.get_by_text(str(before + 1), exact=True).wait_for()
    page.get_by_text("nobody-has-it: 404 model_not_found").first.click()
    page.get_by_role("heading", name=re.compile(r"Request \d")).wait_for()
    page.get_by_text("not_found").first.wait_for()
    page.keyboard.press("Escape")
    page.go_back()
    page.get_by_role("heading", name="Overview").wait_for()


def test_the_overview_goes_back_in_time(visitor: Visitor) -> None:
    page = visitor.go("overview")
    page.get_by_role("button", name="Day").click()
    page.get_by_role("columnheader", name="Tokens in").wait_for()
    assert "range=day" in page.url
    page.reload()
    page.get_by_role("button", name="Day", pressed=True).wait_for()


def test_a_backend_is_drained_weighed_and_taken_back(front: Front, visitor: Visitor) -> None:
    page = visitor.go("backends")
    row = page.get_by_role("row").filter(has_text="gpu2")
    row.get_by_role("button", name="Drain").click()
    page.get_by_text("infergate backend drain gpu2").wait_for()
    page.get_by_role("button", name="Drain it").click()
    row.get_by_text("draining").wait_for()
    assert front.gateway.backend("gpu2")["drained"]
    row.get_by_role("button", name="Take back").click()
    until(lambda: not front.gateway.backend("gpu2")["drained"])
    row.get_by_role("button", name="gpu2").click()
    page.get_by_label("Weight").fill("7")
    page.get_by_role("button", name="Set").click()
    page.get_by_text("The weight of gpu2 was 1 and is 7.").wait_for()
    page.get_by_role("button", name="As configured").click()
    page.get_by_role("button", name="Undo").click()
    until(lambda: front.gateway.backend("gpu2")["weight"] == 1)


def test_who_may_only_look_is_offered_nothing_to_change(front: Front) -> None:
    with visiting(front.browser, front.url) as reader:
        reader.log_in(front.read)
        page = reader.go("backends")
        page.get_by_role("row").filter(has_text="gpu2").wait_for()
        assert page.get_by_role("button", name=re.compile("Drain|Add")).count() == 0


def test_the_story_of_a_request_is_told(front: Front, visitor: Visitor) -> None:
    answer = front.gateway.chat("gpt-4o-mini", stream=True)
    one = answer.headers["x-infergate-request-id"]
    front.gateway.log()
    page = visitor.go(f"requests?id={one}")
    page.get_by_role("heading", name=f"Request {one}").wait_for()
    page.get_by_text("asked for as gpt-4o-mini").first.wait_for()
    page.get_by_text("lowest score wins").wait_for()
    page.get_by_text(re.compile(": first (byte|token)")).wait_for()
    page.get_by_text(f"infergate explain {one}").wait_for()
    assert page.get_by_role("button", name="Copy as curl").is_visible()


def test_requests_come_in_by_themselves_and_are_found(front: Front, visitor: Visitor) -> None:
    page = visitor.go("requests")
    rows = page.get_by_role("region", name="Requests").get_by_role("row")
    rows.filter(has_text="nobody-has-it").first.wait_for()
    front.gateway.chat("not-there-either")
    rows.filter(has_text="not-there-either").first.wait_for()
    page.get_by_role("button", name="Failed only").click()
    page.wait_for_url("**failed=1**")
    page.get_by_text("200", exact=True).first.wait_for(state="detached")
    page.get_by_label("Model").fill("nobody-has-it")
    page.keyboard.press("Enter")
    rows.filter(has_text="not-there-either").wait_for(state="detached")
    assert rows.filter(has_text="nobody-has-it").count() == 1


def test_a_key_is_made_tried_changed_rotated_and_revoked(front: Front, visitor: Visitor) -> None:
    page = visitor.go("keys")
    page.get_by_role("button", name="Create a key").click()
    page.get_by_label("Name", exact=True).fill("alice")
    page.get_by_label("Models").fill("qwen-*")
    page.get_by_label("Requests a minute").fill("60")
    page.get_by_label("Budget").fill("10M-tokens/month")
    page.get_by_role("button", name="Create it").click()
    page.get_by_text("--models 'qwen-*' --rpm 60 --budget 10M-tokens/month").wait_for()
    secret = page.locator("#secret").inner_text()
    page.get_by_role("button", name="Test it").click()
    page.get_by_text("It works:").wait_for()
    assert front.gateway.chat("qwen-2.5-7b-instruct", key=secret).status_code == 200
    front.gateway.log()
    page.get_by_role("button", name="Close").click()

    row = page.get_by_role("row").filter(has_text="alice")
    row.get_by_role("button", name="alice").click()
    page.get_by_text("of 10M-tokens/month").wait_for()
    page.get_by_label("Requests a minute").fill("")
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_text("alice is changed").wait_for()
    shown = json.loads(front.gateway.run("keys", "show", "alice", "--json").stdout)
    assert not (shown.get("limits") or {}).get("requests_per_minute")
    assert shown["budget"] == ["10M-tokens/month"]

    row.get_by_role("button", name="alice").click()
    page.get_by_role("button", name="New secret").click()
    page.get_by_label("The one of now ends").select_option("0")
    page.get_by_role("button", name="Make it").click()
    until(
        lambda: page.locator("#secret").count() and page.locator("#secret").inner_text() != secret
    )
    new = page.locator("#secret").inner_text()
    assert front.gateway.chat("qwen-2.5-7b-instruct", key=new).status_code == 200
    until(lambda: front.gateway.chat("qwen-2.5-7b-instruct", key=secret).status_code == 401)
    page.get_by_role("button", name="Close").click()

    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("button", name="Revoke it").click()
    row.wait_for(state="detached")
    assert front.gateway.chat("qwen-2.5-7b-instruct", key=new).status_code == 401


def test_a_key_that_cannot_be_made_is_told_in_its_form(visitor: Visitor) -> None:
    page = visitor.go("keys")
    page.get_by_role("button", name="Create a key").click()
    page.get_by_label("Name", exact=True).fill("not a name!")
    page.get_by_role("button", name="Create it").click()
    page.get_by_role("dialog").get_by_role("alert").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "not a name!"
    page.keyboard.press("Escape")
    assert visitor.wrong
    visitor.wrong.clear()  # the browser tells of the 422


def test_usage_is_shown_and_taken_home(front: Front, visitor: Visitor) -> None:
    def counted() -> bool:
        found = front.gateway.run("usage", "--by", "model", "--format", "json").stdout
        return "qwen-2.5-7b-instruct" in found

    until(counted)
    page = visitor.go("usage?by=model")
    row = page.get_by_role("region", name="Usage").get_by_role("row").filter(has_text="qwen-2.5")
    row.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    text = Path(download.value.path()).read_text()
    lines = list(csv.DictReader(text.splitlines()))
    (qwen,) = [each for each in lines if each["model"] == "qwen-2.5-7b-instruct"]
    assert int(qwen["requests"]) >= 12
    assert qwen["currency"] == "EUR"
    row.get_by_role("button", name="qwen-2.5-7b-instruct").click()
    page.get_by_role("columnheader", name="Key").wait_for()
    page.get_by_role("button", name="Do not look at model").wait_for()
    assert "model=qwen-2.5-7b-instruct" in page.url


def test_a_changed_configuration_is_checked_written_applied_and_taken_back(
    front: Front, visitor: Visitor
) -> None:
    before = front.gateway.file.read_text()
    page = visitor.go("configuration")
    area = page.get_by_label("Configuration, YAML")
    area.fill(before + "limts: {}\n")
    page.get_by_text("did you mean 'limits'").wait_for()
    assert page.get_by_role("button", name="Write the file").is_disabled()
    area.fill(before + "retries: { attempts: 2 }\n")
    page.get_by_role("button", name="Write the file").click()
    page.get_by_role("cell", name="retries.attempts").or_(
        page.get_by_role("rowheader", name="retries.attempts")
    ).wait_for()
    page.get_by_label("Watch it for").select_option("0")
    page.get_by_role("button", name="Apply", exact=True).click()
    page.get_by_text("Revision 2 is active.").wait_for()
    history = page.get_by_role("region", name="What was active")
    history.get_by_role("button", name="Back to it").first.click()
    page.get_by_role("button", name="Bring it back").click()
    history.get_by_text("brought back revision 1").wait_for()
    area = page.get_by_label("Configuration, YAML")
    area.fill(before)
    page.get_by_role("button", name="Write the file").click()
    page.get_by_text("Nothing: the file is what is active.").wait_for()


def test_the_editor_offers_what_may_stand_at_the_cursor(visitor: Visitor) -> None:
    page = visitor.go("configuration")
    area = page.get_by_label("Configuration, YAML")
    area.press("Control+End")
    area.press_sequentially("retr")
    page.get_by_role("option", name="retries").wait_for()
    area.press("Enter")
    area.press_sequentially("{ att")
    page.get_by_role("option", name="attempts").wait_for()
    area.press("Tab")
    assert area.input_value().endswith("retries: { attempts: ")
    area.press("Control+z")
    area.press("Escape")
    area.press("Enter")
    area.press("Backspace")
    area.press("Backspace")


def test_two_models_answer_side_by_side(visitor: Visitor) -> None:
    page = visitor.go("playground")
    page.get_by_label("Model", exact=True).first.select_option("qwen-2.5-7b-instruct")
    page.get_by_label("Second model").select_option("qwen-2.5-7b-instruct")
    page.get_by_label("Message", exact=True).fill("hi")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("a key is needed").wait_for()
    page.get_by_role("button", name="Make a key for an hour").click()
    page.get_by_text("is valid for an hour").wait_for()
    page.get_by_role("button", name="Send").click()
    until(lambda: page.get_by_text("first token after").count() == 2)
    page.get_by_role("link", name="its story").first.click()
    page.get_by_role("heading", name=re.compile(r"Request \d")).wait_for()


def test_a_program_is_connected_and_its_first_request_arrives(
    front: Front, visitor: Visitor
) -> None:
    page = visitor.go("connect?client=openai&model=qwen-2.5-7b-instruct")
    text = page.locator("pre").inner_text()
    assert f'base_url="{front.gateway.url}/v1"' in text
    assert "YOUR-KEY" in text
    page.get_by_label("Name of the new key").fill("laptop")
    page.get_by_role("button", name="Make a key for it").click()
    page.get_by_text("Waiting for the first request").wait_for()
    code = page.locator("pre").inner_text()
    said: dict[str, Any] = {}
    program = threading.Thread(target=lambda: exec(code, said))
    program.start()
    page.get_by_text("It works").wait_for()
    program.join(60)
    assert said["answer"].choices[0].message.content
    command = front.gateway.run("connect", "openai", "--model", "qwen-2.5-7b-instruct").stdout
    assert text.strip() in command


def test_what_an_attacker_would_look_at_is_shown(front: Front, visitor: Visitor) -> None:
    page = visitor.go("security")
    page.get_by_role("button", name="Look now").click()
    page.get_by_text(" of 100.").wait_for()
    page.get_by_role("button", name="Ban an address").click()
    page.get_by_label("Address or network").fill("203.0.113.0/24")
    page.get_by_role("button", name="Ban it").click()
    row = page.get_by_role("row").filter(has_text="203.0.113.0/24").first
    row.get_by_text("by hand").wait_for()
    assert "203.0.113.0/24" in front.gateway.run("bans", "list", "--json").stdout
    row.get_by_role("button", name="Let in").click()
    page.get_by_text("Nobody is banned.").wait_for()


def test_no_name_that_others_choose_becomes_a_part_of_the_page(
    front: Front, visitor: Visitor
) -> None:
    """Of a model, a key, a backend, a client."""
    front.gateway.chat(EVIL, headers={"User-Agent": EVIL})
    front.gateway.log()
    for room in ROOMS:
        page = visitor.go(room)
        assert page.locator("img[src=x]").count() == 0, room
    page = visitor.go("requests")
    page.get_by_role("row").filter(has_text=EVIL).first.locator("button").first.click()
    page.get_by_text(EVIL).first.wait_for()
    page.get_by_role("heading", name="Why it went there").wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_a_model_leads_to_its_backends_and_users(visitor: Visitor) -> None:
    page = visitor.go("models?q=qwen")
    page.get_by_role("button", name="qwen-2.5-7b-instruct").click()
    page.get_by_text("Who used it in the last 30 days").wait_for()
    page.get_by_role("dialog").get_by_text("gpu1").click()
    page.get_by_role("heading", name="gpu1").wait_for()


def test_the_keyboard_alone_is_enough(visitor: Visitor) -> None:
    page = visitor.go("overview")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.get_by_role("heading", name="Models").first.wait_for()
    page.get_by_label("Search models").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("qwen")
    page.wait_for_url("**?q=qwen")
    page.keyboard.press("Tab")
    page.locator("body").click()
    page.keyboard.press("?")
    page.get_by_role("heading", name="By keyboard").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="By keyboard").wait_for(state="detached")


def test_who_is_logged_out_elsewhere_stands_before_the_door(front: Front) -> None:
    name = "short-lived"
    secret = token(front.gateway, "full", name)
    with visiting(front.browser, front.url) as visitor:
        visitor.log_in(secret)
        visitor.go("overview")
        front.gateway.run("admin", "token", "revoke", name)
        visitor.page.get_by_role("link", name="Models", exact=True).click()
        visitor.page.get_by_label("Token").wait_for()


def test_a_script_of_another_origin_gets_nothing(front: Front, visitor: Visitor) -> None:
    """By a name of this machine that is not the gateway's: cookies and answers stay here."""
    visitor.go("overview")
    cookies = {each["name"]: each["value"] for each in visitor.page.context.cookies()}
    headers = {
        "Origin": "http://evil.localhost",
        "Cookie": f"infergate-page={cookies['infergate-page']}",
    }
    answer = httpx.get(front.url + "/page/v1/keys", headers=headers, timeout=60)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
