"""A line of nginx's error log: what it says itself, and how grave it is.

Further on in a line may stand what any client wrote: its path, its Host, its Referer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEGINNING = re.compile(r"[\d/]{10} [\d:]{8} \[(\w+)\] \d+#\d+: ")


def said(log: str) -> Iterator[tuple[str, str]]:
    """(level, words) of each line. A line ends at its \\n: other ends may be a client's."""
    for line in log.split("\n"):
        beginning = _BEGINNING.match(line)
        if beginning is not None:
            yield beginning[1], line[beginning.end() :]
