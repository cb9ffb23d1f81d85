"""What gixy says of the rendered files, without what is meant so. It runs where it is installed.

Best in an environment of its own: it brings another nginx parser under the name of crossplane.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infergate.hardening.check import Check, Severity, bad, good, unknown

_TIMEOUT_S = 60

MEANT_SO = {
    "ssrf": "$ig_backend is one of the configured names",
    "http_splitting": "what njs sets has no line breaks, and $uri is a location's own path",
    "host_spoofing": "a service by host is only reached under its own name",
    "missing_resolver": "a variable in proxy_pass names an upstream, whose addresses we resolve",
    "proxy_pass_normalized": "a service below a path sees the path without . and ..",
    "add_header_redefinition": "locations with headers of their own include the others",
    "default_server_flag": "the API's server comes first, so it is the default",
    "hsts_header": "told as tls.hsts",
    "if_is_evil": "our ifs have set and return, of the same module, or js_body_filter, as njs says",
    "nginx_cves": "told as engine.*",
}
"""Findings on what Infergate itself renders, and why each is no fault there."""

_SEVERITIES: dict[str, Severity] = {"HIGH": "high", "MEDIUM": "medium", "LOW": "low"}


def check_with_gixy(revision: Path, ours: frozenset[str]) -> Iterator[Check]:
    """Every finding in these files. ours: paths, below the revision, that Infergate rendered."""
    program = shutil.which("gixy") or shutil.which("gixy", path=str(Path(sys.executable).parent))
    if program is None:
        yield unknown("gixy", "gixy is not installed", "pipx install gixy-ng")
        return
    try:
        findings = _run(program, revision / "nginx.conf")
    except (OSError, ValueError, subprocess.SubprocessError) as problem:
        yield unknown("gixy", f"gixy failed: {problem}")
        return
    kept = [each for each in findings if not _is_meant_so(each, revision, ours)]
    for each in kept:
        place = f"{_relative(each, revision)}:{each.get('line', 0)}"
        yield bad(
            f"gixy.{each['plugin']}",
            _SEVERITIES.get(each["severity"], "low"),
            f"{place}: {each['summary']}",
            each.get("reference", ""),
        )
    if not kept:
        yield good("gixy", "medium", f"gixy finds nothing in {len(ours)} files")


def _run(program: str, configuration: Path) -> list[dict[str, Any]]:
    command = [program, "-f", "json", str(configuration)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def _relative(finding: dict[str, Any], revision: Path) -> str:
    file = Path(finding["file"])
    return str(file.relative_to(revision)) if file.is_relative_to(revision) else str(file)


def _is_meant_so(finding: dict[str, Any], revision: Path, ours: frozenset[str]) -> bool:
    return finding["plugin"] in MEANT_SO and _relative(finding, revision) in ours
