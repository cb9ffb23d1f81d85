"""testssl.sh over a gateway as it is by default, and over the modern profile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.servers import free_port
from tests.gateway import gateway
from tests.tools import missing

pytestmark = pytest.mark.skipif(
    "testssl" in missing(), reason="`python -m tests.tools` brings testssl.sh"
)

_NOT_OURS = {
    "DNS_CAArecord": "localhost has no DNS",
    "OCSP_stapling": "a CA of a LAN has no responder",
    "cert_revocation": "nor a list of revoked certificates",
}


@pytest.fixture(params=["intermediate", "modern"])
def findings(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Iterator[list[dict]]:
    http, https = free_port(), free_port()
    report = tmp_path / "report.json"
    with gateway(
        engine,
        f"listen: {{ http: 127.0.0.1:{http}, https: 127.0.0.1:{https}, hosts: [localhost] }}\n"
        f"tls: {{ self_signed: true, hsts: true, profile: {request.param} }}\n"
        "backends: { a: http://127.0.0.1:1 }\n",
    ) as it:
        command = ["testssl", "--quiet", "--warnings", "off", "--nodns", "none", "--color", "0"]
        command += ["--add-ca", str(it.home / "public" / "ca.crt"), "--jsonfile", str(report)]
        command += ["--ip", "127.0.0.1", f"localhost:{https}"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=1200)
        yield json.loads(report.read_text())


def test_testssl_finds_no_weakness_of_ours(findings: list[dict]) -> None:
    found = {each["id"]: each for each in findings}
    weak = [
        each
        for each in findings
        if each["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL")  # WARN: it could not look
        and each["id"] not in _NOT_OURS
    ]
    assert weak == []
    assert found["TLS1_3"]["finding"].startswith("offered")
    assert found["HSTS_time"]["severity"] == "OK"
    assert found["heartbleed"]["severity"] == "OK"
