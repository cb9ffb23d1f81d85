"""`python -m infergate.api.responses CONFIG FD`: what the supervisor starts, with a socket.

One process, so that whoever cancels a response in the background speaks to who makes it. It is the
gateway's own user: it has the store. What it asks of models goes through nginx all the same.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from infergate.api.grant import KeyGrant
from infergate.api.inner import Inner
from infergate.api.keeper import alone
from infergate.api.responses.app import ResponsesApp
from infergate.api.responses.around import ResponsesAround
from infergate.api.serve import serve
from infergate.api.settings import Settings
from infergate.api.turns import Turns
from infergate.config.responses import KeptResponses
from infergate.ledger.ledger import node_in, node_of
from infergate.state_folder import home_for
from infergate.store.database import database_for
from infergate.store.responses import StoredResponse

_FINISH_S = 3
"""nginx has no open requests when we are told to end: those are waited for there."""


async def main() -> None:
    path, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    home = home_for(path)
    settings = Settings(path, home, lambda api: api.responses, KeptResponses())
    database = database_for(settings.config, home, keep=True)

    def grant(of: StoredResponse) -> KeyGrant:
        return KeyGrant(of.entry, of.id, of.client, database, home.socket)

    around = ResponsesAround(
        database,
        node_in(database, node_of(home)),
        settings,
        lambda: settings.config.limits.max_body,
        Inner(home.inner_socket),
        grant,
        Turns(lambda: settings().concurrent),
    )
    responses = ResponsesApp(around)
    async with alone(home.run / "responses"), responses.running():
        await serve(responses, listener, finish_s=_FINISH_S)


if __name__ == "__main__":
    asyncio.run(main())
