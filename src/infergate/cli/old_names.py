"""usage --deprecated: who still asks for models by names that go away."""

from __future__ import annotations

import json
import time

from infergate.cli.target import CommandTarget

_WIDTH = 80


def print_old_names(gateway: CommandTarget, since: int, *, json_: bool) -> None:
    """A row for each name, key and client, or the same as JSON."""
    from infergate.admin.old_names import old_names
    from infergate.cli.ledger import ago
    from infergate.cli.rows import print_rows

    rows = [row for page in gateway.pages(old_names, since=since) for row in page.items]
    if json_:
        print(json.dumps([row.model_dump(mode="json") for row in rows]))
        return
    if not rows:
        print("Nobody asked for a model by a name that goes away.")
        return
    now = time.time()
    head = ["NAME", "INSTEAD", "KEY", "CLIENT", "SUNSET", "LAST", "CALLS"]
    lines = [
        [
            row.name,
            row.model if row.model != row.name else "-",
            row.key or "-",
            row.client or "-",
            str(row.sunset or "-"),
            f"{ago(max(0, now - row.last))} ago",
            f"{row.calls:,}",
        ]
        for row in rows
    ]
    print_rows(head, lines, right_from=5, at_most=_WIDTH)
