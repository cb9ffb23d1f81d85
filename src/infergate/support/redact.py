"""Texts without secrets: those that are known, and what looks like one."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from infergate.store.admin_tokens import TOKEN_PREFIX
from infergate.store.secrets import SECRET_PREFIX

GONE = "[redacted]"

_SHORTEST = 4
"""Of a known secret that is searched for in texts: shorter ones are parts of any word."""

SECRET_NAME = re.compile(
    r"(?:key|token|secret|passw(?:or)?d|passphrase|hmac|cookie|credentials?|authorization)$", re.I
)
"""How the name of a setting, header, variable or option ends whose value is one."""

_NAMES_NONE = frozenset({"key", "public_key", "cache_key"})
"""Names that end so, and whose values are no secrets: the public id of a key."""

_LOOKS = re.compile(
    "|".join(
        (
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            rf"(?:{SECRET_PREFIX}|{TOKEN_PREFIX})[\w-]+",
            r"\bsk-[\w-]{16,}",  # OpenAI's, Anthropic's and their like
            r"\b(?:hf|gh[pousr]|glpat|xox[a-z]|nvapi)[_-][\w-]{16,}",
            r"\bAKIA[0-9A-Z]{16}\b",
            r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",  # a JSON Web Token
            r"\b[0-9a-fA-F]{64}\b",  # SHA-256 of a key
            r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2\w*|scrypt)\$[\w./$=,+-]+",  # crypt(5)
            r"\{S?SHA\d*\}[\w+/=]+",
        )
    ),
    re.S,
)
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest)\s+(?!\$)[^\s\"',;]+", re.I)
_USER_INFO = re.compile(r"(://)[^/\s@\"']+@")
_QUERY = re.compile(r"(\bhttps?://[^\s\"'?;]+)\?[^\s\"';,]+")
_NAMED = re.compile(
    r"((?:--)?[\w.-]*(?:key|token|secret|passw(?:or)?d|passphrase|cookie|authorization))"
    r"(\"?\s*[:=]\s*|\s+(?=[\"']))"
    r"(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;}\]\"']+)",
    re.I,
)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_V6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,8}[0-9a-f.]*(?![\w:])", re.I)


class Redactor:
    """known: secrets of this gateway. kept: addresses that are its own, and may be told."""

    def __init__(self, known: Iterable[str], kept: Iterable[str] = ()) -> None:
        forms = {form for each in known if len(each) >= _SHORTEST for form in _forms(each)}
        self._known = sorted(forms, key=len, reverse=True)
        self._kept = frozenset(kept)

    def text(self, text: str) -> str:
        """A text of ours or of nginx."""
        for each in self._known:
            text = text.replace(each, GONE)
        text = _LOOKS.sub(GONE, text)
        text = _SCHEME.sub(rf"\1 {GONE}", text)
        text = _USER_INFO.sub(rf"\1{GONE}@", text)
        text = _QUERY.sub(rf"\1?{GONE}", text)
        return _EMAIL.sub("[e-mail]", text)

    def log(self, text: str) -> str:
        """Lines of a log, which have words and addresses of others."""
        text = _NAMED.sub(_value_gone, self.text(text))
        return _V6.sub(self._address_gone, _V4.sub(self._address_gone, text))

    def data(self, value: Any, name: str = "") -> Any:
        """What JSON can say; strings under a name of a secret are gone whatever they are."""
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(each, str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return list(self._items(value))
        if isinstance(value, str):
            secret = value and name not in _NAMES_NONE and SECRET_NAME.search(name)
            return GONE if secret else self.text(value)
        return value

    def leaks(self, text: str) -> bool:
        """Whether there is a known secret in it still."""
        return any(each in text for each in self._known)

    def _items(self, values: Iterable[Any]) -> Iterator[Any]:
        """Those of a list, which may be the words of a command."""
        before = ""
        for each in values:
            option, is_, _ = each.partition("=") if isinstance(each, str) else ("", "", "")
            if isinstance(each, str) and before.startswith("-") and SECRET_NAME.search(before):
                yield GONE
            elif is_ and SECRET_NAME.search(option):
                yield f"{option}={GONE}"
            else:
                yield self.data(each)
            before = each if isinstance(each, str) else ""

    def _address_gone(self, found: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]  # a version, a time
        own = address.is_loopback or address.is_unspecified or str(address) in self._kept
        return found[0] if own else "[address]"


def _value_gone(found: re.Match[str]) -> str:
    name, between, value = found.groups()
    bare = value.strip("\"'")
    if name.lower().lstrip("-") in _NAMES_NONE or bare in ("", GONE) or bare.startswith("$"):
        return found[0]
    mark = value[0] if value[0] in "\"'" else ""
    return f"{name}{between}{mark}{GONE}{mark}"


def _forms(secret: str) -> Iterator[str]:
    """As it may stand in a text."""
    yield secret
    yield from (quote(secret, safe=""), quote(secret))
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    encoded = base64.b64encode(secret.encode()).decode()
    yield encoded.rstrip("=")
    yield encoded.rstrip("=").replace("+", "-").replace("/", "_")
