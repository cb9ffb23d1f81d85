"""`python -m infergate.api.batches CONFIG FD`: what the supervisor starts, with a socket to serve.

One process, so that whoever makes or cancels a batch speaks to who runs it. It is the gateway's own
user: it has the store and the files. What it asks of models goes through nginx all the same.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from infergate.api.batches.app import BatchesApp
from infergate.api.batches.calls import BatchCaller
from infergate.api.batches.key_caller import KeyCaller
from infergate.api.files.folder import Folder
from infergate.api.grant import LAST, KeyGrant
from infergate.api.inner import Inner
from infergate.api.keeper import alone
from infergate.api.serve import serve
from infergate.api.settings import Settings
from infergate.config.batches import Batches
from infergate.ledger.ledger import node_in, node_of
from infergate.state_folder import home_for
from infergate.store.batches import StoredBatch
from infergate.store.database import database_for

_FINISH_S = 3


async def main() -> None:
    path, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    home = home_for(path)
    settings = Settings(path, home, lambda api: api.batches, Batches())
    database = database_for(settings.config, home, keep=True)
    inner = Inner(home.inner_socket)

    def caller_of(batch: StoredBatch) -> BatchCaller:
        grant = KeyGrant(batch.key_entry, batch.id, batch.client, database, home.socket, place=LAST)
        return KeyCaller(inner, grant, batch.client, lambda: settings().max_answer)

    node = node_in(database, node_of(home))
    batches = BatchesApp(database, node, Folder(home.files), settings, caller_of)
    async with alone(home.files), batches.running():
        await serve(batches.app, listener, finish_s=_FINISH_S)


if __name__ == "__main__":
    asyncio.run(main())
