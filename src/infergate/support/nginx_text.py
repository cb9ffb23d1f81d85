"""Files of nginx that an operator wrote, without what may be a secret in them: whatever stands
behind a word that tells of one, in the same directive or in the `map` about it; and comments."""

from __future__ import annotations

import re

from infergate.support.redact import GONE

_PARTS = re.compile(
    r"(?P<comment>#[^\n]*)|(?P<space>\s+)|(?P<end>[;{}])"
    r"|(?P<word>\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|(?:\\.|[^\s;{}\"'\\])+|\\)",
    re.S,
)
_TELLS = re.compile(r"key|token|secret|passw(?:or)?d|cookie|auth|credential|hmac|session", re.I)
_SECRET_ALWAYS = frozenset(("secure_link_md5", "secure_link_secret"))
_NEVER = frozenset(("proxy_cache_key", "keys_zone", "server_tokens"))
_HARMLESS = re.compile(r"\(?[$/][^\"';]*|[=!~*()]+|on|off|default|\d{1,3}|\(")
"""A variable, a path, an operator, a switch, a status."""
_TABLES = frozenset(("map", "geo", "split_clients"))


def without_secrets(text: str) -> str:
    """The file as it may be told."""
    found: list[str] = []
    tables = [False]  # for each block that is open: whether its entries are secrets
    words: list[str] = []
    hidden = False
    for part in _PARTS.finditer(text):
        kind, said = part.lastgroup, part[0]
        if kind == "comment":
            continue
        if kind == "space":
            found.append(said)
            continue
        if kind == "end":
            if said == "{":
                tables.append(bool(words) and words[0] in _TABLES and hidden)
            elif said == "}" and len(tables) > 1:
                tables.pop()
            words, hidden = [], tables[-1]
            found.append(said)
            continue
        words.append(said)
        found.append(_told(said) if hidden else said)
        if not hidden and said not in _NEVER:
            name, is_, _ = said.partition("=")
            hidden = said in _SECRET_ALWAYS or _TELLS.search(said) is not None
            if is_ and name and _TELLS.search(name):  # env NAME=value
                found[-1] = f"{name}={GONE}"
        if words[0] in _NEVER:
            hidden = False
    return "".join(found)


def _told(word: str) -> str:
    return word if _HARMLESS.fullmatch(word) else GONE
