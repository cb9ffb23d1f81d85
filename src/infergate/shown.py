"""How text from outside is shown: names and paths of clients, answers of backends, files of others.

A terminal obeys what it is shown: ESC sequences colour, move, and set titles; C1 controls do so in
one byte; bidi marks turn the reading order round, and a line break makes one line of a log two.
"""

from __future__ import annotations

import re

_OBEYED = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    r"\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # unseen, bidi
    r"\ud800-\udfff"  # halves of a pair, which cannot be written out
    r"\U000e0000-\U000e0fff"  # tags
)
_IN_TEXT = re.compile(f"[{_OBEYED}]")
_IN_A_LINE = re.compile(f"[\t\n{_OBEYED}]")


def shown(text: str) -> str:
    """One line of text with everything that a terminal would obey as JSON writes it: \\u001b."""
    return _IN_A_LINE.sub(_escaped, text)


def shown_text(text: str) -> str:
    """The same of several lines, with their tabs."""
    return _IN_TEXT.sub(_escaped, text)


def is_plain(text: str) -> bool:
    """Whether there is nothing in a line of text that a terminal would obey."""
    return not _IN_A_LINE.search(text)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    # Two halves, as JSON has it: what was JSON stays the same JSON.
    first, second = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + first:04x}\\u{0xDC00 + second:04x}"
