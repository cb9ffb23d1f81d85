"""Every command that README and docs/ show is run, on one gateway, and prints what they show.

Which ones cannot be, and why: tests/pages_run.py. tests/unit/test_docs.py reads all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
import pytest

from infergate.cli.unwell import UNWELL
from tests.backends.qdrant_double import API_KEY, qdrant_double
from tests.backends.servers import Scripted, free_port, scripted
from tests.engine.conftest import ENGINES
from tests.gateway import Gateway, Ran, run_here, until
from tests.pages import DOCS, ROOT, Block, blocks, lines
from tests.pages_run import NOT_HERE, PAGES

pytestmark = pytest.mark.parametrize("engine", ENGINES[:1], indirect=True, scope="module")
"""Which nginx runs it has no part in what is printed."""

MAY_FAIL = {
    "infergate validate": 1,
    "infergate audit": 1,
    "infergate status": UNWELL,
    "infergate doctor": UNWELL,
}
"""Their exit code tells of this machine (root, an old nginx), and not of the page."""


LEFT = {
    "README": ["keys revoke alice", "backend undrain gpu1"],
    "admin-api": ["backend undrain gpu1"],
    "backends": ["backend reset gpu1", "backend remove gpu3"],
}
"""Page → what puts right again what it leaves to the next one."""


@dataclass
class Reader:
    """Somebody who types what the pages say, into one shell."""

    it: Gateway
    known: dict[str, str]
    """What a page writes → what it is here: addresses, names, places."""
    environ: dict[str, str] = field(default_factory=dict)

    def type(self, line: str) -> Ran:
        for written, here in self.known.items():
            line = line.replace(written, here)
        words = shlex.split(line)
        if words[0] == "export":
            self.environ |= dict(word.split("=", 1) for word in words[1:])
            return Ran(0, "", "")
        environ = {"INFERGATE_HOME": str(self.it.home), "COLUMNS": "500", **self.environ}
        if words[:2] == ["infergate", "up"]:
            return self.it.run(*words[1:])
        ran = None
        if words[0] == "infergate":
            ours, sign, rest = re.match(r"(.*?)(?: ([|>]) (.*))?$", line).groups()
            ran = run_here(shlex.split(ours)[1:], environ)
            if sign is None or ran.returncode not in (0, UNWELL):
                return ran
            line = rest if sign == "|" else f"cat > {rest}"
        done = subprocess.run(
            ["bash", "-c", line],
            input=ran and ran.stdout,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, **environ},
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def do(self, block: Block) -> list[Ran]:
        """Each command; AssertionError where one fails that should not."""
        self.environ = {}
        said = []
        for line in lines(block):
            if line in NOT_HERE:
                continue
            ran = self.type(line)
            allowed = max(
                (code for start, code in MAY_FAIL.items() if line.startswith(start)), default=0
            )
            assert ran.returncode <= allowed, f"{block.place}: {line}\n{ran.stdout}{ran.stderr}"
            said.append(ran)
        return said


CONFIG = """
backends:
  gpu1: {gpu1}
  gpu2: {gpu2}
models:
  qwen: [gpu1, gpu2]
  llama3: [gpu1, gpu2]
  demo: [gpu1, gpu2]
  qwen3: [gpu1, gpu2]
  kept: {{ backends: [gpu1, gpu2], upstream_name: demo, cache: {{ ttl: 1h }} }}
  coder: {{ backends: [gpu1, gpu2], upstream_name: qwen }}
services: {{ qdrant: {{ url: {qdrant}, path: /qdrant/, api_key: "${{QDRANT_KEY}}" }} }}
admin: {{ listen: "127.0.0.1:{admin}" }}
health: {{ interval: 300ms, timeout: 500ms, rise: 1, fall: 1 }}
"""


@pytest.fixture
def reader(engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Reader, list[Scripted]]]:
    """Before a folder in which infergate.yaml is README's, and what the pages speak of besides."""
    names = ["qwen", "llama3", "demo", "qwen3"]
    with ExitStack() as stack:
        gpu1, gpu2, gpu3 = (stack.enter_context(scripted(name=n, models=names)) for n in "123")
        qdrant, admin = stack.enter_context(qdrant_double()), free_port()
        it = Gateway(
            engine,
            CONFIG.format(gpu1=gpu1.url, gpu2=gpu2.url, qdrant=qdrant, admin=admin),
        )
        stack.callback(it.remove)
        (it.folder / ".infergate").symlink_to(it.home)
        it.file.chmod(0o600)
        monkeypatch.chdir(it.folder)
        monkeypatch.setenv("QDRANT_KEY", API_KEY)
        monkeypatch.setenv("HOME", str(it.folder))
        known = {
            "http://127.0.0.1:8080": it.url,
            "https://api.example.com": it.url,
            "http://10.0.0.7:8000": gpu3.url,
            "https://gateway.lan:9090": f"http://127.0.0.1:{admin}",
            "127.0.0.1:9090": f"127.0.0.1:{admin}",
            "/srv/infergate/": f"{it.folder}/",
            "/etc/fail2ban": f"{it.folder}/fail2ban",
            "--model NAME": "--model kept",
            "--for 30s": "--for 1s",
            "infergate apply": "infergate apply --window 1s",
        }
        yield Reader(it, known), [gpu1, gpu2]


@pytest.mark.long
def test_every_command_does_what_the_page_says(reader: tuple[Reader, list[Scripted]]) -> None:
    who, backends = reader
    with contextlib.chdir(who.it.folder):
        _readme(who)
        _afterwards(who, "README")
        for name in PAGES:
            page = DOCS / f"{name}.md"
            for block in blocks(page):
                if block.kind == "sh":
                    who.do(block)
                elif block.kind == "console":
                    _as_shown(who, block, backends)
            _afterwards(who, name)


def _readme(who: Reader) -> None:
    make, curl, json_, yaml, use = list(blocks(ROOT / "README.md"))[1:]
    assert lines(make)[1:] == ["make up", "make test"]
    assert yaml.text.splitlines()[1:] == ["backends:", "  gpu1: http://127.0.0.1:11434"]
    commands = lines(use)
    up = commands.index("infergate up --detach")
    for line in commands[: up + 1]:
        assert who.type(line).returncode == 0, line
    who.it.key = who.it.new_key("reader", "--explain")
    admin = who.it.run("admin", "token", "create", "reader", "--role", "full", "--json").stdout
    token = json.loads(admin)["token"]
    (who.it.folder / ".infergate-token").write_text(token)
    who.known |= {
        "sk-ig-…": who.it.key,
        "$KEY": who.it.key,
        "$TOKEN": token,
        "ig-admin-…": token,
        "~/.infergate-token": f"{who.it.folder}/.infergate-token",
    }
    (answered,) = who.do(curl)
    shown, told = json.loads(json_.text.replace(", …", "")), json.loads(answered.stdout)
    assert {key: told[key] for key in ("object", "model")} == {
        key: shown[key] for key in ("object", "model")
    }
    assert told["choices"][0]["message"]["role"] == "assistant"
    until(lambda: who.it.log())
    who.known["explain ID"] = f"explain {who.it.log()[-1]['id']}"
    for line in commands[up + 1 :]:
        ran = who.type(line)
        assert ran.returncode == 0 or line in MAY_FAIL, f"{line}\n{ran.stdout}{ran.stderr}"


def _afterwards(who: Reader, page: str) -> None:
    """What the next page does not expect to be there."""
    for words in LEFT.get(page, ()):
        who.it.run(*words.split())


def _as_shown(who: Reader, block: Block, backends: list[Scripted]) -> None:
    """What is printed has each line that the page shows, but for numbers and names."""
    with contextlib.ExitStack() as stack:
        for command, shown in re.findall(r"(?m)^\$ (.*)\n((?:(?!\$ ).*\n?)*)", block.text):
            if command == "infergate plan":
                _change_as_shown(who)
                for each in backends:
                    each.behave(path_prefix="/v1/chat", chunk_delay_s=0.2, chunks=5000)
                stack.enter_context(_streams(who.it, 3))
            printed = who.type(command).stdout
            shape = {_shape(line) for line in _unwrapped(printed)}
            missing = [line for line in _unwrapped(shown) if line and _shape(line) not in shape]
            assert not missing, f"{block.place}: {missing}\n{printed}"


_FREE = (
    (r"\d[\d.]*(?<!\.)", "N"),
    (r"because of .*", "because of …"),
    (r"It took: .*", "It took: …"),  # the steps that there were
    (r"N (?:d|h|min|s)\b(?: N (?:h|min|s)\b)?", "TIME"),
    (r"(?<=Open now: )N on [^.]*", "…"),
    (r"^(high|medium|low) +\S+", "SEVERITY CHECK"),
    (r"^( {8}(?:→ )?).*", r"\1…"),
)
"""What may be otherwise in what is printed."""


def _unwrapped(text: str) -> list[str]:
    """Its lines; one that ended in a comma goes on with a small letter."""
    return re.sub(r"(?<=,)\n(?=[a-z])", " ", text).splitlines()


def _shape(line: str) -> str:
    for pattern, shape in _FREE:
        line = re.sub(pattern, shape, line)
    return line


@contextlib.contextmanager
def _streams(it: Gateway, count: int) -> Iterator[None]:
    """So many that have begun and do not end by themselves."""
    body = {"model": "qwen", "stream": True, "messages": [{"role": "user", "content": "a"}]}
    with ExitStack() as stack:
        kept = []
        for _ in range(count):
            url = f"{it.url}/v1/chat/completions"
            stream = stack.enter_context(
                httpx.stream("POST", url, json=body, headers=it.headers(), timeout=120)
            )
            kept.append(stream.iter_bytes())  # one that is dropped closes its stream
            next(kept[-1])
        yield


def _change_as_shown(who: Reader) -> None:
    text = who.it.file.read_text()
    text = text.replace("upstream_name: qwen }", "upstream_name: qwen, fallback: [llama3] }")
    who.it.file.write_text(text + "timeouts: { connect: 1s }\n")
