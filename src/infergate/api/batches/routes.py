"""/v1/batches for a client: make, list, look at, cancel."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from infergate.api.asker import Asker, Who
from infergate.api.batches.documents import (
    WINDOW,
    WINDOW_S,
    batch_document,
    metadata_in,
    object_of,
    text_in,
)
from infergate.api.batches.lines import ENDPOINTS
from infergate.api.batches.runner import Runner
from infergate.api.files.documents import kept_for, limit_of, list_document
from infergate.api.files.folder import new_file_id
from infergate.api.files.routes import PURPOSE
from infergate.api.refusal import Refused, missing
from infergate.config.batches import Batches
from infergate.store.batches import StoredBatch, add_batch, batches_after, find_batch
from infergate.store.database import Database
from infergate.store.files import find_file

_RANDOM_BYTES = 16
_LARGEST_BODY = 64 * 1024
_USUAL_LIST, _LONGEST_LIST = 20, 100


class BatchRoutes:
    """node: this gateway. settings: asked anew for each request."""

    def __init__(
        self, database: Database, node: str, runner: Runner, settings: Callable[[], Batches]
    ) -> None:
        self._database, self._node, self._runner = database, node, runner
        self._settings = settings
        self.router = APIRouter(prefix="/v1/batches", tags=["batches"])
        for method, path, endpoint in (
            ("POST", "", self.create),
            ("GET", "", self.list),
            ("GET", "/{batch_id}", self.retrieve),
            ("POST", "/{batch_id}/cancel", self.cancel),
        ):
            self.router.add_api_route(path, endpoint, methods=[method], response_model=None)

    async def create(self, request: Request, asker: Who) -> dict[str, Any]:
        """Begin one: its file is looked at next."""
        asked = object_of(await _body(request))
        endpoint, file_id = (text_in(asked, each) for each in ("endpoint", "input_file_id"))
        if endpoint not in ENDPOINTS:
            message = f"A batch may ask for {', '.join(ENDPOINTS)}."
            raise Refused(message, param="endpoint", code="invalid_endpoint")
        if asked.get("completion_window") != WINDOW:
            raise Refused(f"completion_window must be {WINDOW!r}.", param="completion_window")
        file = await run_in_threadpool(find_file, self._database, self._node, asker.owner, file_id)
        if file is None or file.purpose != PURPOSE:
            message = f"There is no file {file_id[:100]!r} for batches of yours."
            raise Refused(message, param="input_file_id", code="invalid_file")
        made = self._made(asked, asker, endpoint, file.id)
        settings = self._settings()
        if not await run_in_threadpool(add_batch, self._database, made, most_open=settings.open):
            message = f"{settings.open} batches that have not ended are all that one may have here."
            raise Refused(message, status=429, code="too_many_batches")
        self._runner.begin(made.id)
        return batch_document(made)

    async def list(self, request: Request, asker: Who) -> dict[str, Any]:
        """Those of the key, or of its team."""
        asked = request.query_params
        found = await run_in_threadpool(
            batches_after,
            self._database,
            self._node,
            owner=asker.owner,
            after=asked.get("after"),
            limit=limit_of(asked.get("limit"), usual=_USUAL_LIST, most=_LONGEST_LIST),
        )
        return list_document(found, self._document)

    async def retrieve(self, batch_id: str, asker: Who) -> dict[str, Any]:
        """How far it is."""
        return self._document(await self._found(batch_id, asker))

    async def cancel(self, batch_id: str, asker: Who) -> dict[str, Any]:
        """End it: what is answered stays."""
        found = await self._found(batch_id, asker)
        if not await self._runner.cancel(found.id):
            now = await self._found(batch_id, asker)
            if now.status not in ("cancelling", "cancelled"):
                message = f"Cannot cancel a batch with status {now.status!r}."
                raise Refused(message, status=409, code="batch_ended")
        return self._document(await self._found(batch_id, asker))

    def _document(self, batch: StoredBatch) -> dict[str, Any]:
        return batch_document(batch, self._runner.progress(batch.id))

    async def _found(self, id_: str, asker: Asker) -> StoredBatch:
        found = await run_in_threadpool(
            find_batch, self._database, self._node, id_, owner=asker.owner
        )
        if found is None:
            raise missing("batch", id_)
        return found

    def _made(
        self, asked: Mapping[str, Any], asker: Asker, endpoint: str, file_id: str
    ) -> StoredBatch:
        keep = asked.get("output_expires_after")
        if not isinstance(keep, dict | None):
            raise Refused("output_expires_after is an object.", param="output_expires_after")
        keep = keep or {}
        now = int(time.time())
        return StoredBatch(
            id=f"batch_{secrets.token_hex(_RANDOM_BYTES)}",
            node=self._node,
            owner=asker.owner,
            key=asker.key,
            key_entry=asker.entry,
            client=asker.client,
            endpoint=endpoint,
            input_file=file_id,
            output_file=new_file_id(),
            error_file=new_file_id(),
            created_at=now,
            expires_at=now + WINDOW_S,
            about=metadata_in(asked),
            times={"validating": now},
            keep_s=kept_for("output_expires_after", keep.get("anchor"), keep.get("seconds")),
        )


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > _LARGEST_BODY:
            raise Refused("The request body is too large.", status=413)
    return bytes(found)
