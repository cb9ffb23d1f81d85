"""README's two commands and the curl line that they print, in a Debian in which nothing is
installed yet."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.deploy import rootfs
from tests.deploy.conftest import need_tools
from tests.deploy.fresh import Fresh, fresh
from tests.pages import ROOT, blocks, lines

pytestmark = pytest.mark.slow

ANSWERS = (
    r"engine +nginx (?P<nginx>[\d.]+), njs [\d.]+ \((?P<origin>\w+)\)"
    r".*Try it:\s+(?P<curl>curl .*?\}')"
)
NOBODY = "alice"
"""Who starts it: not root."""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def debian(request: pytest.FixtureRequest) -> Iterator[Fresh]:
    need_tools()
    problem = rootfs.bring_fresh(request.param)
    assert problem is None, problem
    with fresh(request.param) as it:
        it.sh(f"useradd --create-home --shell /bin/bash {NOBODY}")
        source = it.root / f"home/{NOBODY}/infergate"
        source.mkdir()
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        copy = ["tar", "--null", "--files-from=-", "-cf", str(source / "source.tar")]
        subprocess.run(copy, cwd=ROOT, input=files.stdout, check=True)
        it.sh(
            f"cd ~{NOBODY}/infergate && tar --no-same-owner -xf source.tar && chown -R {NOBODY}: ."
        )
        yield it


def started(it: Fresh, key: str = "") -> re.Match[str]:
    """What `make up` printed, of an Infergate that answered to its curl line and ended."""
    _, up = readme()
    with it.on_a_terminal(f"cd infergate && {up}", ANSWERS, user=NOBODY) as said:
        ask = f"export INFERGATE_KEY='{key}'\n{said['curl'].replace('curl ', 'curl -sS ', 1)}"
        answer = json.loads(it.sh(ask, user=NOBODY))
        assert answer["choices"][0]["message"]["content"]
    refused = it.sh(ask, user=NOBODY, code=7)
    assert "127.0.0.1 port 8080" in refused
    return said


def readme() -> list[str]:
    return lines(next(each for each in blocks(ROOT / "README.md") if each.kind == "sh"))


@pytest.fixture(scope="module")
def first(debian: Fresh) -> re.Match[str]:
    """What is printed when README's two commands are done for the first time."""
    install, *_ = readme()
    debian.sh(install)
    return started(debian)


def test_two_commands_and_the_curl_line_answers_on_an_engine_that_is_fetched(
    first: re.Match[str],
) -> None:
    assert first["origin"] == "debian"


def test_debians_own_nginx_is_the_engine_where_it_is_new_enough(
    debian: Fresh, first: re.Match[str]
) -> None:
    debian.sh("apt-get install --yes --no-install-recommends nginx libnginx-mod-http-js")
    shown_once = re.search(r"Bearer (sk-ig-\S+)\"", first["curl"])
    assert shown_once
    said = started(debian, shown_once[1])
    installed = debian.sh("nginx -v")
    release = debian.sh(". /etc/os-release; echo $VERSION_ID").strip()
    if release == "12":  # its njs is too old
        assert said["origin"] == "debian"
        assert said["nginx"] not in installed
    else:
        assert said["origin"] == "system"
        assert said["nginx"] in installed
