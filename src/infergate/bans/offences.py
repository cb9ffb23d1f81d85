"""Which lines of the access log are offences, and of what kind.

Only what the gateway itself refused counts, and only of strangers. A service's own 401 may be a
session that ran out, and so may one of the login of `auth: forward`. Who has a key that we know, be
it expired, used from elsewhere or asking for what is not its own, is somebody's client with a wrong
setting: a ban would hit everybody behind its address, and the key can be revoked.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from infergate.worker_files import entry_in

KINDS = ("wrong_key", "denied", "rate", "waf", "scanner")

SCANNED = (
    r"/(?:\.(?:env|git|aws|ssh|svn|hg|vscode|DS_Store|htaccess|htpasswd)"
    r"|wp-|wordpress|xmlrpc|phpmyadmin|pma/|vendor/phpunit|cgi-bin/|boaform|HNAP1|GponForm"
    r"|actuator|solr/|manager/html|owa/|ecp/|autodiscover|geoserver|_ignition|telescope/"
    r"|server-status|druid/|struts|jmx-console|SDK/webLanguage"
    r"|[^\"]*\.(?:php\d?|aspx?|jspx?|cgi|cfm|sql|bak)(?=\"|$))"
)
"""How paths begin that nothing here has and every scanner asks for; in any case of letters."""

NO_OFFENCE = ("not_logged_in", "forbidden_by_login", "missing_password", "request_over")
"""Errors of njs/refusal.js that say nothing of who asks: browsers ask without a password first,
and for some files (a page's manifest) always. The last is of the API tier's."""

_SCANNED = re.compile(SCANNED, re.IGNORECASE)
_REFUSED = re.compile(r'\{"ts":[\d.]+,"status":4')


class Offence(NamedTuple):
    """One request that should not have been. ts: Unix seconds; ip: as nginx wrote it."""

    ts: float
    ip: str
    kind: str


def offence_in(line: str) -> Offence | None:
    """The offence in a line of the access log; None if it is none."""
    if not _REFUSED.match(line):  # most lines: not worth parsing
        return None
    try:
        entry = entry_in(line) or {}
        kind = _kind(entry["status"], entry["error"], entry["key"], entry["uri"])
        second = float(entry["ts"])
        return Offence(second, entry["ip"], kind) if kind and math.isfinite(second) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _kind(status: int, error: str, key: str, uri: str) -> str | None:
    if error == "waf_blocked":
        return "waf"
    if not error or key:
        return None
    if _SCANNED.match(uri):
        return "scanner"
    if error in NO_OFFENCE:
        return None
    return {401: "wrong_key", 403: "denied", 429: "rate"}.get(status)
