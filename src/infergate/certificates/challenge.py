"""Proof to an authority that a name is ours: a file that nginx serves, or a DNS record."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from acme import challenges, messages
from acme.client import ClientV2

from infergate.config.tls import Acme
from infergate.errors import NotIssued
from infergate.files import write_atomically
from infergate.paths import Home

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""base64url (RFC 8555, 8.3): it becomes a file's name."""

_HOOK_TIMEOUT_S = 300
_LEFT_AFTER_S = 3600.0
_KINDS = {"http-01": challenges.HTTP01, "dns-01": challenges.DNS01}


@contextmanager
def answered(
    client: ClientV2, order: messages.OrderResource, acme: Acme, folder: Path, home: Home
) -> Iterator[None]:
    """The proofs are in place and the authority was told to look; they are gone at the end.

    folder: of the configuration; hooks run there. Raises NotIssued where a hook fails.
    """
    _forget_old(home)
    key = client.net.key
    assert key is not None  # noqa: S101 - a member's client has one
    with ExitStack() as proofs:
        waiting = []
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_VALID:
                continue  # proven lately
            host = authorization.body.identifier.value
            body = _chosen(authorization.body.challenges, acme, host)
            response, proof = body.chall.response_and_validation(key)
            if acme.challenge == "http-01":
                proofs.enter_context(_file(body.chall.encode("token"), proof, home))
            else:
                name = body.chall.validation_domain_name(host)
                proofs.enter_context(_record(str(acme.dns_hook), name, proof, folder, host))
            waiting.append((body, response))
        if waiting and acme.challenge == "dns-01":
            time.sleep(acme.dns_wait)
        for body, response in waiting:
            client.answer_challenge(body, response)
        yield


def _chosen(
    offered: Sequence[messages.ChallengeBody], acme: Acme, host: str
) -> messages.ChallengeBody:
    for body in offered:
        if isinstance(body.chall, _KINDS[acme.challenge]):
            return body
    kinds = ", ".join(sorted(str(body.chall.typ) for body in offered))
    raise NotIssued(
        f"the authority does not offer {acme.challenge} for this name, only {kinds}",
        where=host,
        hint="Set tls.acme.challenge to one that it offers.",
    )


def _forget_old(home: Home) -> None:
    """Proofs that a killed process left."""
    home.challenges.mkdir(parents=True, exist_ok=True, mode=0o711)
    for path in home.challenges.iterdir():
        with suppress(FileNotFoundError):  # another process is done with it
            if time.time() - path.stat().st_mtime > _LEFT_AFTER_S:
                path.unlink()


@contextmanager
def _file(token: str, proof: str, home: Home) -> Iterator[None]:
    if not _TOKEN.fullmatch(token):
        raise NotIssued("the authority's challenge has a token that is none", where=token[:60])
    path = home.challenges / token
    write_atomically(path, proof, mode=0o644)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _record(hook: str, name: str, proof: str, folder: Path, host: str) -> Iterator[None]:
    """As lego's `exec` provider calls its programs, so those that are there can be used."""
    _run(hook, "present", name, proof, folder, host)
    try:
        yield
    finally:
        _run(hook, "cleanup", name, proof, folder, host)


def _run(hook: str, what: str, name: str, proof: str, folder: Path, host: str) -> None:
    program = folder / hook
    environ = {**os.environ, "INFERGATE_DOMAIN": host}
    try:
        ran = subprocess.run(
            [str(program), what, f"{name}.", proof],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_HOOK_TIMEOUT_S,
            cwd=folder,
            env=environ,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NotIssued(
            f"the hook {program} did not run: {problem}",
            where=host,
            hint="It must be executable, and end within five minutes.",
            asked=False,
        ) from None
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise NotIssued(
            f"the hook {program} failed at `{what}` with code {ran.returncode}"
            + (f": {said[-1]}" if said else ""),
            where=host,
            asked=False,
        )
