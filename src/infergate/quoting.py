"""Strings of the configuration inside nginx's syntax.

Names, hosts, URLs and paths have passed the patterns of infergate.config (types.py, addresses.py)
and hold no character that nginx reads as syntax. The few free texts go through here.
"""

from __future__ import annotations

import re

_UNQUOTABLE = re.compile(r"[\x00-\x1f\x7f$]")


def quoted(text: str) -> str:
    """A parameter in double quotes.

    Raises ValueError for control characters and for `$`: nginx replaces variables inside quotes
    and has no way to write a literal dollar sign.
    """
    if _UNQUOTABLE.search(text):
        raise ValueError("a control character or $ cannot be written in an nginx parameter")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def regex_escaped(text: str) -> str:
    """The regular expression (PCRE) that matches text and nothing else."""
    return re.sub(r"[^A-Za-z0-9_ ]", lambda match: "\\" + match[0], text)


def quoted_regex(pattern: str) -> str:
    """A map's regular expression in double quotes, where `$` is not a variable.

    nginx's lexer takes the backslash of \\" and \\\\ away before PCRE sees the pattern, so a
    backslash is written twice.
    """
    if re.search(r"[\x00-\x1f\x7f]", pattern):
        raise ValueError("a control character cannot be written in an nginx parameter")
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'
