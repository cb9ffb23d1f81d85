"""Runs apt in a folder of its own, as any user: it neither reads nor changes what is installed.

How the machine downloads (proxy, mirror, retries) is taken from its own configuration; what is
trusted is not: every list and package must be signed through Debian's archive keyring.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infergate.engine.debian_mirror import SUITE, Mirrors
from infergate.errors import EngineError

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),  # Debian 13 and later
)

APT_TIMEOUT_S = 900
"""20 MB at 25 kB/s."""

SILENT_S = 30.0
"""Without a new byte for so long, the mirror cannot be had. apt alone asks up to four times, two
minutes each; on a machine without a network, somebody waits for the gateway meanwhile."""

_LOOK_EVERY_S = 0.1
_TELL_EVERY_S = 2.0

_HOW = re.compile(r"Acquire::(?!IndexTargets|Languages|Changelogs|Allow|gpgv)", re.IGNORECASE)
"""A setting of how to download; apt does not mind its case. The others say what is trusted."""

_TAKES_EXPIRED = re.compile(
    r"^Acquire::(?:Min-ValidTime|Check-(?:Valid-Until|Date)\b"
    r'.* "(?:false|no|off|without|disable|0)")',
    re.IGNORECASE | re.MULTILINE,
)
"""For a mirror that is frozen on purpose, or a machine without a clock: root's to decide, but it
lets whoever is in between withhold fixes."""

# Over the machine's own settings, which might have allowed any of them.
_NEVER_UNSIGNED = (
    "APT::Get::AllowUnauthenticated=false",
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::AllowWeakRepositories=false",
    "Acquire::AllowDowngradeToInsecureRepositories=false",
)


def require_tools() -> None:
    """Raises EngineError on a machine that is no relative of Debian."""
    missing = [tool for tool in ("apt-get", "apt-config", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise EngineError(
            f"this machine has no {' and no '.join(missing)}, which fetch Debian's nginx",
            hint="Install nginx 1.26 and njs 0.8.9 or newer from your distribution or from the"
            " nginx project, or keep `engine: embedded`.",
        )


def debian_keyring() -> Path:
    """Debian's archive keys on this machine. Raises EngineError when it has none."""
    for keyring in KEYRINGS:
        if keyring.is_file():
            return keyring
    raise EngineError(
        "Debian's archive keys are not on this machine, so its packages cannot be verified",
        where=str(KEYRINGS[0]),
        hint="Install the package debian-archive-keyring, then run this again.",
    )


def download(
    packages: Sequence[str],
    mirrors: Mirrors,
    folder: Path,
    report: Callable[[str], None],
    *,
    suite: str = SUITE,
) -> list[Path]:
    """The .deb files of `packages` and of everything they depend on, verified by apt.

    folder: an empty folder of ours; gets apt's lists, its cache and its configuration.
    report: told every few seconds how much has come.
    Raises EngineError with apt's own words when a download or a signature fails.
    """
    for name in ("lists/partial", "cache/archives/partial", "state", "none"):
        (folder / name).mkdir(parents=True)
    (folder / "state/status").touch()  # nothing is installed, so the closure is complete
    sources = sources_text(mirrors, debian_keyring(), suite)
    (folder / "debian.sources").write_text(sources, encoding="utf-8")
    configuration = folder / "apt.conf"
    configuration.touch(mode=0o600)  # a proxy's password may be in it
    text = _configuration(folder)
    configuration.write_text(text, encoding="utf-8")
    if takes_expired(text):
        report(
            "  apt takes lists that have expired here (Acquire::Check-Valid-Until, Check-Date):"
            " there may be newer fixes."
        )
    run_apt(["apt-get", "update"], configuration, folder, report)
    install = ["apt-get", "install", "--download-only", "--no-install-recommends", "--yes"]
    run_apt([*install, *packages], configuration, folder, report)
    return sorted((folder / "cache/archives").glob("*.deb"))


def sources_text(mirrors: Mirrors, keyring: Path, suite: str = SUITE) -> str:
    """The only repositories that apt is told of, in deb822 style."""
    stanzas = [(mirrors.archive, f"{suite} {suite}-updates")]
    if mirrors.security:
        stanzas.append((mirrors.security, f"{suite}-security"))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n"
        for uri, suites in stanzas
    )


def _configuration(folder: Path) -> str:
    architecture = _output(["dpkg", "--print-architecture"]).strip()
    # Dir::Etc::main and ::parts are the machine's apt.conf: its hooks would run as root.
    ours = f"""\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "{folder}/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{folder}/none";
Dir::Etc::sourcelist "{folder}/debian.sources";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "{folder}/none";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Update::Error-Mode "any";
"""
    return (
        machine_downloads(_output(["apt-config", "dump"])) + ours + 'Acquire::Languages "none";\n'
    )


def machine_downloads(apt_config_dump: str) -> str:
    """The lines of `apt-config dump` about how to download, without those on what to fetch."""
    lines = apt_config_dump.splitlines()
    kept = [line for line in lines if _HOW.match(line)]
    return "".join(f"{line}\n" for line in kept)


def takes_expired(configuration: str) -> bool:
    """Whether the machine has switched apt's look at the age of lists off."""
    return _TAKES_EXPIRED.search(configuration) is not None


def run_apt(
    command: Sequence[str], configuration: Path, folder: Path, report: Callable[[str], None]
) -> None:
    """Raises EngineError with the lines in which apt says what failed, or if nothing comes.

    folder: where what it fetches arrives.
    """
    options = [part for option in _NEVER_UNSIGNED for part in ("-o", option)]
    environment = {
        **os.environ,
        "APT_CONFIG": str(configuration),
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C",
    }
    log = folder / "said"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [command[0], *options, *command[1:]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    what = f"`{command[0]} {command[1]}`"
    try:
        _wait_while_it_comes(process, what, log, report)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # with the methods that fetch for it
            process.wait()
    said = log.read_text(errors="replace")
    if process.returncode != 0:
        raise EngineError(f"{what} failed:\n  {failure_lines(said)}", hint=failure_hint(said))


def _wait_while_it_comes(
    process: subprocess.Popen[bytes], what: str, log: Path, report: Callable[[str], None]
) -> None:
    """Raises EngineError if nothing comes for too long.

    log: what apt says, in the folder where arrives what it fetches.
    """
    began = moved = told = time.monotonic()
    fetched = 0
    while process.poll() is None:
        time.sleep(_LOOK_EVERY_S)
        now = time.monotonic()
        if fetched != (fetched := _size(log.parent)):
            moved = now
        if now - told > _TELL_EVERY_S and (line := _last_fetched(log.read_text(errors="replace"))):
            told = now
            report(f"  {line}")
        if now - moved > SILENT_S:
            why = f"was given up: nothing came for {SILENT_S:.0f} s"
        elif now - began > APT_TIMEOUT_S:
            why = f"did not end within {APT_TIMEOUT_S} s"
        else:
            continue
        hint = "Check the network and apt's proxy; try again when the mirror answers."
        raise EngineError(f"{what} {why}", hint=hint)


def _last_fetched(said: str) -> str:
    """`Get:9 http://…/debian trixie/main amd64 nginx amd64 1.26.3-3 [610 kB]` → the end of it."""
    lines = [line for line in said.splitlines() if line.startswith("Get:")]
    return " ".join(lines[-1].split()[2:]) if lines else ""


def _size(folder: Path) -> int:
    """Bytes of the files below folder; those that go away meanwhile are not counted."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total


def failure_lines(output: str) -> str:
    """What apt says went wrong: its E: and Err: lines, or its last ones."""
    lines = output.strip().splitlines()
    errors = [line for line in lines if line.startswith(("E:", "Err:"))]
    return "\n  ".join(errors or lines[-5:])


def failure_hint(output: str) -> str:
    if "NO_PUBKEY" in output or "is not signed" in output:
        return (
            "The mirror's signature could not be verified: update the package"
            " debian-archive-keyring, and check that the mirror is Debian's."
        )
    if "is expired" in output or "not valid anymore" in output or "not valid yet" in output:
        return (
            "What the mirror has is out of date, so fixes may be missing: check this machine's"
            " clock, and name a mirror that is kept up to date in apt's sources."
        )
    if "Temporary failure resolving" in output or "Could not connect" in output:
        return "The mirror could not be reached: check the network and apt's proxy."
    return f"Check that the Debian mirror in apt's sources carries {SUITE}."


def _output(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EngineError(f"`{' '.join(command)}` failed: {error}") from error
