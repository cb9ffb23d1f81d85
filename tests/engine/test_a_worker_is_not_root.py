"""Somebody got hold of one of nginx's workers, and tries to be root with the master's help.

What the master opens, makes and gives an owner, at a start, a reload and when logs are opened anew,
is found by its path. Here the workers' own user tries to lead those paths elsewhere.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infergate.ledger.rotate import reopen_logs
from infergate.live.drain import nginx_workers
from infergate.nginx.folders import prepare_home
from infergate.paths import Home
from infergate.supervise.instance import nginx_master
from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives workers another user")

USER = "nobody"
CONFIG = """
user: nobody
backends: {{ a: {{ url: {a}, engine: vllm }} }}
models:
  m: {{ backends: [a], cache: {{ ttl: 1h }} }}
  hedged: {{ backends: [a], upstream_name: m, hedge: {{ extra_load: 1 }} }}
services: {{ s: {{ url: {a}, path: /s/, cache: {{ paths: [/static/] }} }} }}
"""

TRIES = """
import os, stat, sys
home, canary = sys.argv[1:]
succeeded = []

def tried(what, attempt):
    try:
        attempt()
    except OSError:
        return
    succeeded.append(what)

for folder, folders, files in os.walk(home):
    for name in [*folders, *files]:
        path = os.path.join(folder, name)
        spare = path + ".spare"
        tried(f"mv {path}", lambda: (os.rename(path, spare), os.rename(spare, path)))
        tried(f"ln -s {path}", lambda: (os.symlink(canary, spare), os.unlink(spare)))
        tried(f"ln {path}", lambda: (os.link(canary, spare), os.unlink(spare)))
        tried(f"mkfifo {path}", lambda: (os.mkfifo(spare), os.unlink(spare)))
        tried(f"mkdir {path}", lambda: (os.mkdir(spare), os.rmdir(spare)))
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        tried(f"chmod {path}", lambda: os.chmod(path, mode))
for path in sys.stdin.read().split():  # also what it cannot list
    for what in (os.unlink, os.rmdir, lambda path: os.rename(path, path + ".spare")):
        tried(f"remove {path}", lambda: what(path))
    tried(f"chmod {path}", lambda: os.chmod(path, 0o777))
    tried(f"ln -s in {path}", lambda: os.symlink(canary, path + "/planted"))
print(*succeeded, sep="\\n")
"""

SWAPS = """
import os, sys
home, canary = sys.argv[1:]
print("on", flush=True)
paths = [f"{home}/{path}" for path in (
    "run/temp", "run/temp/scgi", "run/temp/proxy", "run/queue", "run/queue/nginx.sock",
    "run/queue/attempts.sock", "run/waf", "run/nginx.pid", "cache", "cache/answers",
    "cache/service-s", "logs", "logs/access.log", "logs/error.log", "state")]
while os.getppid() != 1:
    for path in paths:
        try:
            os.rename(path, path + ".aside")
            os.symlink(canary, path)
        except OSError:
            pass
        for inner in (path + "/a", path + "/planted"):
            try:
                os.symlink(canary, inner)
            except OSError:
                pass
"""


def as_worker(program: str, *arguments: str) -> subprocess.Popen[str]:
    found = pwd.getpwnam(USER)
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")  # ours may be below /root
    if python is None:
        pytest.skip("there is no Python that another user may run")
    return subprocess.Popen(
        [python, "-I", "-c", program, *arguments],
        user=found.pw_uid,
        group=found.pw_gid,
        extra_groups=[],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file and folders of root's that a worker can name."""
    folder = Path("/tmp") / f"ig-canary-{time.monotonic_ns()}"
    (folder / "a" / "bc").mkdir(parents=True)
    (folder / "file").write_text("root's")
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def state(canary: Path) -> list[tuple[str, int, int, int]]:
    paths = sorted([canary, *canary.rglob("*")])
    return [(str(p), p.stat().st_uid, p.stat().st_mode, p.stat().st_nlink) for p in paths]


@pytest.fixture(scope="module")
def it(engine: str) -> Iterator[Gateway]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url)))


def used(it: Gateway) -> None:
    """What its workers write and enter works: bodies, answers, the sockets of queue and hedge."""
    embed = {"model": "m", "input": "x"}
    answers = [it.post("/v1/embeddings", embed) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[1].headers["x-infergate-cache"] == "HIT"
    assert it.post("/v1/embeddings", {**embed, "model": "hedged"}).status_code == 200
    assert it.chat().status_code == 200
    assert it.post("/s/version", b"x" * 300_000).status_code < 500


def test_workers_are_the_configured_user_and_everything_works(it: Gateway) -> None:
    used(it)
    master = nginx_master(Home(it.home))
    assert master is not None
    workers = nginx_workers(master)
    assert workers
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in workers} == {pwd.getpwnam(USER).pw_uid}


def test_a_worker_can_change_no_folder_or_file_on_roots_paths(it: Gateway, canary: Path) -> None:
    used(it)
    home, before = Home(it.home), state(canary)
    every = [str(path) for path in home.root.rglob("*") if not path.is_symlink()]
    tries = as_worker(TRIES, str(home.root), str(canary / "file"))
    said, _ = tries.communicate("\n".join(every), timeout=120)
    assert tries.returncode == 0
    leaves = {home.waf_reports, *(home.run / "temp").iterdir(), *home.cache.iterdir()}
    for line in filter(None, said.split("\n")):
        what, _, path = line.rpartition(" ")
        inside = leaves & {*Path(path).parents}
        mode_of_its_own = what == "chmod" and Path(path) in {*leaves, *home.logs.iterdir()}
        assert inside or mode_of_its_own or (what == "ln -s in" and Path(path) in leaves), line
    assert state(canary) == before


@contextmanager
def swaps(it: Gateway, canary: Path) -> Iterator[None]:
    """Meanwhile the workers' user swaps all it can."""
    attack = as_worker(SWAPS, str(it.home), str(canary))
    try:
        assert attack.stdout is not None
        assert attack.stdout.readline() == "on\n"
        yield
    finally:
        attack.kill()
        attack.wait()


def test_reloads_and_reopened_logs_give_no_file_of_roots_away(it: Gateway, canary: Path) -> None:
    before, home = state(canary), Home(it.home)
    with swaps(it, canary):
        for number in range(2):
            it.file.write_text(it.file.read_text() + f"# {number}\n")
            it.run("reload")
            reopen_logs(home)
        it.run("cache", "purge")
    assert state(canary) == before
    used(it)


@pytest.mark.long
def test_what_a_worker_of_an_earlier_version_planted_is_gone_at_the_start(
    engine: str, canary: Path
) -> None:
    before, found = state(canary), pwd.getpwnam(USER)
    with scripted(name="a") as a, gateway(engine, CONFIG.format(a=a.url), start=False) as it:
        home = Home(it.home)
        prepare_home(home, USER)
        old = (home.run / "temp", home.queue_socket.parent, home.cache)
        for folder in old:
            folder.chmod(0o700)
            os.chown(folder, found.pw_uid, found.pw_gid)
        for path in ("run/temp/scgi", "run/temp/proxy", "cache/answers", "cache/service-s"):
            (home.root / path).symlink_to(canary / "a")
        home.queue_socket.symlink_to(canary / "file")
        (home.waf_reports / "day").symlink_to(canary)
        os.chown(home.waf_reports / "day", found.pw_uid, found.pw_gid, follow_symlinks=False)
        it.up()
        used(it)
        assert {folder.stat().st_uid for folder in old} == {0}
        assert state(canary) == before
        it.run("down", "--now")
        assert state(canary) == before


def test_up_under_a_closed_folder_says_what_to_do_and_starts_nothing(engine: str) -> None:
    with gateway(engine, CONFIG.format(a="http://127.0.0.1:9"), start=False) as it:
        it.folder.chmod(0o700)
        for command in (("up", "--detach"), ("check",)):
            refused = it.run(*command, check=False)
            assert refused.returncode != 0
            assert f"{it.folder}: nginx's workers run as nobody" in refused.stderr
            assert "INFERGATE_HOME=/var/lib/infergate" in refused.stderr
        assert nginx_master(Home(it.home)) is None
        it.folder.chmod(0o755)
        it.write(CONFIG.format(a="http://127.0.0.1:9").replace("user: nobody", "user: root"))
        refused = it.run("check", check=False)
        assert "nginx's workers may not be root" in refused.stderr
