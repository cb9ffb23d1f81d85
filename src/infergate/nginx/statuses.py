"""The statuses that parts of ours tell each other, in one place. None of them leaves the gateway.

nginx tells by a status where a request goes on (`return 571; error_page 571 =401 @unspoken;`), and
looks at a backend's status in the same way wherever answers are intercepted. So the numbers are of
no use to anybody else, and a backend that says one has failed (snippets/unspoken.conf).
"""

from __future__ import annotations

from typing import NamedTuple


class Internal(NamedTuple):
    """nginx takes 300 to 599 for an error_page; nothing known says 570 to 581.

    careful: leaves the short way. unadmitted: no valid key; 401. limited: too fast; 429, told apart
    from a backend's. blocked: by the firewall; 403. undecided: the internal server, where njs chose
    no backend. spoken: a backend said one of these; 502. none: nobody says it.
    websocket, root: to a location of its own. blob: likewise, by how the box is reached.
    """

    careful: int = 570
    unadmitted: int = 571
    limited: int = 572
    blocked: int = 573
    undecided: int = 574
    spoken: int = 575
    none: int = 576
    websocket: int = 577
    blob: int = 578
    root: int = 579
    blob_https: int = 580
    blob_https_unverified: int = 581


INTERNAL = Internal()
