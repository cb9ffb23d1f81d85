"""Every error Infergate raises on purpose, as one tree.

    InfergateError                what went wrong, where, and what to do
    ├── UserError                 the user's input is wrong: exit code 2
    │   ├── ConfigError           one or more problems in the YAML, each with file:line:column
    │   ├── KeyInputError         a key's name, model list or import file
    │   │   ├── NotThere          nothing has the name that was given
    │   │   └── Conflict          what is there stands against it: a name taken, a team in use
    │   ├── BackupRefused         a backup is damaged, cut off, hostile, or none
    │   ├── NotAllowed            the admin API refused: no token, a wrong one, only for reading
    │   └── NotRunning            the command needs a running gateway
    ├── EngineError               no usable nginx, or it refused the configuration
    ├── LintError                 rendered nginx files break a rule of ours
    ├── ApplyError                a new configuration was refused or rolled back
    ├── CertificateError          a certificate cannot be read or made
    │   └── NotIssued             an ACME authority gave none
    ├── StateError                the state could not be stored or pushed
    │   ├── StoreLost             the database is gone, or an older copy lies in its place
    │   ├── MemoryFull            nginx has no room for some of it; the rest is active
    │   └── Outdated              it comes from a configuration that does not hold any more
    └── AlreadyRunning            a gateway already uses this state folder

The command line prints them and ends with the exit code: 0 done, 1 failed, 2 your input. 3, which
is no error, is cli/unwell.py's.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping


class InfergateError(Exception):
    """Something failed that the user should hear about without a traceback.

    what: one sentence that says what went wrong.
    where: the file, line, process or address concerned, if there is one.
    hint: what to do about it, if we know.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class UserError(InfergateError):
    """The input is wrong; running the same command again gives the same answer."""

    exit_code = 2


class KeyInputError(UserError):
    """A key's name, model list or import file cannot be used."""


class NotThere(KeyInputError):
    """Nothing has the name or id that was given."""


class Conflict(KeyInputError):
    """What is there stands against it: a name that is taken, a team that still has keys."""


class BackupRefused(UserError):
    """A file is no backup that may be brought back; nothing was touched."""


class NotAllowed(UserError):
    """The admin API does not let this caller do this."""


class NotRunning(UserError):
    """The command needs a running gateway and there is none."""


class EngineError(InfergateError):
    """No usable nginx was found, or nginx refused the configuration."""


class LintError(InfergateError):
    """The rendered nginx files break a rule of ours (nginx/lint_rules.py)."""


class ApplyError(InfergateError):
    """A new configuration did not work: the previous one is active, still or again."""


class CertificateError(InfergateError):
    """A certificate or its key cannot be read, made or used."""


class NotIssued(CertificateError):
    """An ACME authority issued no certificate.

    not_before: Unix seconds before which the authority wants no other attempt, if it said so.
    asked: whether the authority looked at the request; if not, it counts no failed attempt.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        not_before: float | None = None,
        asked: bool = True,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.not_before, self.asked = not_before, asked


class StateError(InfergateError):
    """The live state could not be written to disk or pushed into nginx."""


def of_machine(problem: OSError, what: str = "", where: str | None = None) -> StateError:
    """What the machine refused, said as any other error: no space, no inodes, only for reading.

    what: that could not be done. where: the file, if the problem does not name it.
    """
    named = where or (None if problem.filename is None else str(problem.filename))
    said = problem.strerror or str(problem)
    hint = _MACHINE_HINTS.get(problem.errno or 0)
    return StateError(f"{what}: {said}" if what else said, where=named, hint=hint)


_MACHINE_HINTS: Mapping[int, str] = {
    errno.ENOSPC: "Free some space, or inodes (`df`, `df -i`), on the disk of the state folder.",
    errno.EDQUOT: "The user's quota on this disk is used up.",
    errno.EROFS: "The state folder must be writable; INFERGATE_HOME names another one.",
    errno.EACCES: "The state folder must be writable for the user who runs this.",
    errno.EMFILE: "This process may have no more open files (`ulimit -n`).",
}


class StoreLost(StateError):
    """The database that the gateway had is gone, or what lies in its place is older."""


class MemoryFull(StateError):
    """A zone of nginx's shared memory is full. What ended has ended, and what had room is active.

    zones: zone, without "ig_" → entries that had no room.
    """

    def __init__(self, zones: Mapping[str, int], *, where: str) -> None:
        full = (f"ig_{name} is full ({count} not active)" for name, count in zones.items())
        super().__init__(
            f"nginx's shared memory has no room: {', '.join(full)}",
            where=where,
            hint="What was revoked or taken away counts already. `infergate status` shows how full "
            "each zone is; `infergate apply` makes them as large as what is kept needs.",
        )
        self.zones = zones


class Outdated(StateError):
    """What was to be published comes from a configuration that does not hold any more."""


class AlreadyRunning(InfergateError):
    """A gateway already runs from this state folder."""
