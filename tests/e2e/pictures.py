"""The pictures of docs/page: a gateway with a month behind it, as somebody at home or in a small
firm has one.

    python -m tests.e2e.pictures docs/page

The lines of the month and of the last hour are made up and written into its access log, where the
ledger and the page read them as any others; backends, keys and their limits are real.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from infergate.nginx.access_line import FIRST_CHUNK
from tests.access_log import NO_TOKENS, attempt, line, told
from tests.backends.servers import scripted
from tests.e2e.visitor import PHONE, WIDE, Visitor, chromium, gateway_with_page, token, visiting
from tests.gateway import until

DAYS, HOUR_S, DAY_S = 30, 3600, 86400
CONFIG = """
backends:
  h100: {{ url: {h100}, engine: vllm, max_in_flight: 32 }}
  rtx4090: {{ url: {rtx}, engine: vllm, max_in_flight: 8 }}
  mac-studio: {{ url: {mac}, engine: ollama, max_in_flight: 2 }}
  old-p40: {{ url: http://127.0.0.1:9, engine: llamacpp }}
models:
  qwen3-32b:
    backends: [h100, rtx4090]
    aliases: [gpt-4o]
    price: {{ input: 0.4, output: 1.2 }}
    fallback: [gemma3-12b]
  llama-3.3-70b: {{ backends: [h100, old-p40], price: {{ input: 0.8, output: 2.4 }} }}
  gemma3-12b: {{ backends: [mac-studio, rtx4090], price: {{ input: 0.1, output: 0.3 }} }}
  bge-m3: {{ backends: [rtx4090], price: {{ input: 0.02, output: 0 }} }}
usage: {{ currency: EUR }}
"""
MODELS = {  # how often, backend, seconds to the first token, tokens/s
    "qwen3-32b": (10, ("h100", "h100", "rtx4090"), 0.28, 62),
    "llama-3.3-70b": (4, ("h100",), 0.55, 34),
    "gemma3-12b": (3, ("mac-studio", "rtx4090"), 0.4, 48),
    "bge-m3": (6, ("rtx4090",), 0.02, 0),
}
KEYS = {"support-chat": 8, "research": 5, "n8n": 4, "anna": 3, "ci": 1}
NAMES = {"support-chat": "OpenAI/Python 1.109.1", "n8n": "n8n", "anna": "open-webui"}
FAILURES = (
    (503, "backend_failed", True),
    (429, "rate_limit_exceeded", False),
    (404, "model_not_found", False),
    (200, "stream_truncated", True),
)


def request(chance: random.Random, ts: float) -> str:
    """One line, as likely as not."""
    model = chance.choices(list(MODELS), [each[0] for each in MODELS.values()])[0]
    _, backends, first_s, speed = MODELS[model]
    key = chance.choices(list(KEYS), list(KEYS.values()))[0]
    backend = chance.choice(backends)
    fields: dict[str, Any] = {"key": key, "user_agent": NAMES.get(key, "python-httpx/0.28.1")}
    fields |= {"gen_ai.request.model": model, "model_asked": model, "ip": f"10.0.0.{len(key)}"}
    others = [each for each in dict.fromkeys(backends) if each != backend]
    scores = [f"{backend}={chance.randrange(3)}", *(f"{each}=4.5" for each in others)]
    fields |= {"why": f"least_busy;{';'.join(scores)};", "id": f"{ts:.3f}-{chance.randrange(99)}-1"}
    first_s *= chance.lognormvariate(0, 0.45)
    if chance.random() < 0.012:
        status, error, is_backends = chance.choice(FAILURES)
        failed = backend if is_backends else ""
        tried = [attempt(failed, status, 0.004)] if failed else []
        fields |= {"status": status, "error": error, "backend": failed, "attempts": tried}
        fields |= NO_TOKENS if status != 200 else told(400, 50, 0)
        if error == "model_not_found":
            fields |= {"gen_ai.request.model": "", "model_asked": "gpt-5-mini"}
        return line(ts=round(ts, 3), request_time=0.008, **fields)
    prompt = int(chance.lognormvariate(6.2, 0.9))
    answer = int(chance.lognormvariate(5.0, 0.8)) if speed else 0
    took_s = round(first_s + (answer / speed if speed else 0), 3)
    one = {**attempt(backend, 200, round(first_s, 3)), "response_time": took_s}
    fields |= {"backend": backend, "attempts": [one], **told(prompt, answer, prompt // 3)}
    fields |= {"request_time": took_s, "bytes_sent": 200 + 190 * answer}
    if speed:
        fields[FIRST_CHUNK] = round(first_s, 3)
    else:
        fields["uri"] = "/v1/embeddings"
    return line(ts=round(ts, 3), **fields)


def month(now: float) -> Iterator[str]:
    """Days are busier than nights, and weeks than their ends; the last hour is told in full."""
    chance = random.Random(7)  # the same pictures each time
    at = now // DAY_S * DAY_S - (DAYS - 1) * DAY_S
    while at < now:
        day = time.gmtime(at)
        busy = 0.15 + max(0.0, math.sin((day.tm_hour - 6) / 24 * 2 * math.pi))
        busy *= 0.3 if day.tm_wday > 4 else 1
        last = at > now - HOUR_S
        at += chance.expovariate((0.2 if last else 0.02) * max(busy, 0.5 if last else busy))
        if at < now:
            yield request(chance, at)


def take(browser: Any, url: str, secret: str, folder: Path) -> None:
    shots = (
        ("overview", WIDE, "light", "overview"),
        ("dark", WIDE, "dark", "overview?range=month"),
        ("configuration", WIDE, "light", "configuration"),
        ("phone", PHONE, "dark", "overview"),
    )
    for name, size, scheme, room in shots:
        with visiting(browser, url, size=size, scheme=scheme) as visitor:
            visitor.log_in(secret)
            visitor.go(room)
            settled(visitor)
            visitor.page.screenshot(path=str(folder / f"{name}.png"))
    with visiting(browser, url) as visitor:
        visitor.log_in(secret)
        page = visitor.go("requests?model=qwen3-32b")
        page.get_by_role("row").filter(has_text="h100").first.locator("button").first.click()
        page.get_by_role("heading", name="Why it went there").wait_for()
        page.screenshot(path=str(folder / "request.png"))


def settled(visitor: Visitor) -> None:
    visitor.page.locator(".side").get_by_text("Live", exact=True).wait_for(state="attached")
    visitor.gone(".room .none >> text=Loading")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        h100 = stack.enter_context(scripted(models=("qwen3-32b", "llama-3.3-70b"), name="h100"))
        rtx = stack.enter_context(
            scripted(models=("qwen3-32b", "gemma3-12b", "bge-m3"), name="rtx4090")
        )
        mac = stack.enter_context(
            scripted("ollama", models=("gemma3-12b", "qwen3-4b"), name="mac-studio")
        )
        config = CONFIG.format(h100=h100.url, rtx=rtx.url, mac=mac.url)
        it, url = stack.enter_context(gateway_with_page(config))
        for name in KEYS:
            it.run("keys", "create", name, "--budget", "20-EUR/month")
        until(lambda: all(each["models"] for each in it.status()["backends"][:3]))
        with (it.home / "logs/access.log").open("a") as log:
            log.writelines(month(time.time()))
        until(lambda: it.status()["ledger"]["behind_bytes"] == 0, 120)
        browser = stack.enter_context(chromium())
        take(browser, url, token(it, "full", "anna"), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
