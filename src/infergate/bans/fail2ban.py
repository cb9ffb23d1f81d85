"""fail2ban's filters, jails and action for our access log, as texts.

For those who want bans in the kernel, or one fail2ban for all their services. A line begins with
the time, the status and the address, all of nginx's own; what a client can write comes after them
and is escaped (log_format's escape=json). fail2ban cuts the time out before it compares the rest.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infergate.bans.offences import KINDS, NO_OFFENCE, SCANNED
from infergate.config.bans import Bans

_TEXT = r"(?:[^\"\\]|\\.)*"


def _regex(status: str, error: str, *, uri: str = "", key: str = _TEXT) -> str:
    """The line of a request; each argument is a regular expression, uri of its beginning."""
    fields = {"id": _TEXT, "method": _TEXT, "uri": uri + _TEXT, "key": key}
    before = "".join(f'"{name}":"{value}",' for name, value in fields.items())
    version_1 = "".join(f'"{name}":"{_TEXT}",' for name in ("model", "backend", "tried"))
    return f'^,"status":{status},"ip":"<ADDR>","v":[12],{before}(?:{version_1})?"error":"{error}'


_OURS = '(?!")'
"""An error of the gateway, and not of a service."""

_OFFENCE = f'(?!(?:{"|".join(NO_OFFENCE)}|waf_blocked|)")'
"""One of those that count, and not the firewall's, which has a filter of its own."""

_REGEX: Mapping[str, str] = {
    "wrong_key": _regex("401", _OFFENCE, key=""),
    "denied": _regex("403", _OFFENCE, key=""),
    "rate": _regex("429", _OURS, key=""),
    "waf": _regex("403", 'waf_blocked"'),
    "scanner": _regex(r"4\d\d", _OURS, uri=f"(?i:{SCANNED})", key=""),
}


@dataclass(frozen=True)
class Setting:
    """What the files depend on.

    log: the access log; ports: of the listeners; never: networks, as fail2ban's ignoreip.
    command, config: how to call infergate, and its configuration file.
    nftables: ban in the kernel, which needs root; else in nginx.
    """

    bans: Bans
    log: str
    ports: Sequence[str]
    never: Sequence[str]
    command: Sequence[str]
    config: str
    nftables: bool


def fail2ban_files(setting: Setting) -> dict[str, str]:
    """The files below /etc/fail2ban, by relative path."""
    files = {
        f"filter.d/infergate-{_dashed(kind)}.conf": _filter(kind)
        for kind in KINDS
        if getattr(setting.bans.offences, kind)
    }
    files["jail.d/infergate.conf"] = _jails(setting)
    files["action.d/infergate.conf"] = _action(setting)
    return files


def _dashed(kind: str) -> str:
    return kind.replace("_", "-")


def _escaped(text: str) -> str:
    return text.replace("%", "%%")  # fail2ban's files are Python's configparser's


def _filter(kind: str) -> str:
    return f"""\
# Written by `infergate bans fail2ban`. Test: fail2ban-regex LOG infergate-{_dashed(kind)}
[Definition]
failregex = {_escaped(_REGEX[kind])}
datepattern = ^\\{{"ts":{{EPOCH}}
"""


def _jails(setting: Setting) -> str:
    bans = setting.bans
    action = (
        f'nftables[type=multiport, name=%(__name__)s, port="{",".join(setting.ports)}"]'
        if setting.nftables
        else "infergate[name=%(__name__)s]"
    )
    common = f"""\
enabled = true
backend = polling
logpath = {_escaped(setting.log)}
findtime = {round(bans.within)}
bantime = {round(bans.duration)}
bantime.increment = true
bantime.maxtime = {round(bans.longest)}
ignoreip = {" ".join(setting.never)}
action = {action}
"""
    jails = [
        f"[infergate-{_dashed(kind)}]\nfilter = infergate-{_dashed(kind)}\nmaxretry = {limit}\n"
        + common
        for kind in KINDS
        if (limit := getattr(bans.offences, kind))
    ]
    head = "# Written by `infergate bans fail2ban`; edit infergate.yaml instead.\n\n"
    return head + "\n".join(jails)


def _action(setting: Setting) -> str:
    command = _escaped(shlex.join(setting.command))
    end = _escaped(shlex.join(["-c", setting.config]))
    return f"""\
# Written by `infergate bans fail2ban`: bans in nginx, which needs no root.
[Definition]
actionban = {command} bans add <ip> --for <bantime>s --reason "fail2ban <name>" {end}
actionunban = {command} bans remove <ip> {end}

[Init]
name = infergate
"""
