"""A real Prometheus that scrapes one gateway."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from infergate.metrics.shipped import rules
from tests.backends.servers import free_port
from tests.gateway import until

SCRAPED_EVERY_S = 1


class Prometheus:
    """url: where it answers."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of an instant query; AssertionError where it is none."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=60).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        return answer["data"]["result"]

    def one(self, query: str) -> float:
        """The value of a query that has one; 0 where it has none yet."""
        found = self.ask(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else 0.0

    def series(self) -> int:
        """How many series the last scrape had."""
        return int(self.one('scrape_samples_scraped{job="infergate"}'))


@contextmanager
def prometheus(target: str, *, token: str = "", scheme: str = "http") -> Iterator[Prometheus]:
    """One with our rules. target: host and port."""
    program = shutil.which("prometheus")
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="ig-prometheus-") as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(rules())
        (folder / "token").write_text(token)
        (folder / "prometheus.yml").write_text(_config(target, scheme, bool(token)))
        port = free_port()
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            it = Prometheus(f"http://127.0.0.1:{port}")
            until(lambda: _is_ready(it.url))
            yield it
        finally:
            process.kill()
            process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=60).is_success
    except httpx.HTTPError:
        return False


def _config(target: str, scheme: str, with_token: bool) -> str:
    credentials = "\n    authorization: { credentials_file: token }" * with_token
    return f"""
global: {{ scrape_interval: {SCRAPED_EVERY_S}s, evaluation_interval: {SCRAPED_EVERY_S}s }}
rule_files: [rules.yml]
scrape_configs:
  - job_name: infergate
    scheme: {scheme}{credentials}
    tls_config: {{ insecure_skip_verify: true }}
    static_configs: [{{ targets: ["{target}"] }}]
"""


def filled(query: str, variables: Mapping[str, str]) -> str:
    """A panel's query as Grafana sends it."""
    for name, value in {"__rate_interval": "30s", **variables}.items():
        query = query.replace(f"${name}", value)
    return query
