"""The order of Debian's package versions: deb-version(7)."""

from __future__ import annotations

import re

Part = list[tuple[list[int], int]]


def order(version: str) -> tuple[int, Part, Part]:
    """A key to sort by: `1.26.3-3+deb13u9` < `1.26.3-3+deb13u11~1` < `…u11` < `1:1.0-1`."""
    epoch, has_epoch, rest = version.partition(":")
    if not has_epoch:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch) if epoch.isdecimal() else 0, _parts(upstream), _parts(revision)


def _parts(text: str) -> Part:
    """Texts and numbers in turn."""
    return [
        ([*map(_weight, letters), 0], int(digits or 0))
        for letters, digits in re.findall(r"([^0-9]*)([0-9]*)", text)
    ]


def _weight(letter: str) -> int:
    """A tilde comes before the end, which is 0, and letters before all else."""
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 0x110000
