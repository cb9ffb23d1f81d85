"""/v1/files for a client: give, list, look at, fetch, delete."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse

from infergate.api.asker import Asker, Who
from infergate.api.files.documents import file_document, kept_for, limit_of, list_document
from infergate.api.files.folder import Folder, new_file_id
from infergate.api.files.form import Form, read_form, too_large
from infergate.api.refusal import Refused, missing
from infergate.config.batches import Batches
from infergate.nginx.tier import FORM_OVERHEAD
from infergate.store.database import Database
from infergate.store.files import (
    StoredFile,
    add_file,
    files_after,
    find_file,
    forget_file,
    held,
)

PURPOSE = "batch"
_UPLOADS = 4
"""Of one owner at once: what is not there yet counts for no quota."""
_PIECE = 1024**2
"""Bytes that are written at once, in a thread: a disk may be slow."""
_LONGEST_LIST = 10_000


class Files:
    """node: this gateway. settings: asked anew for each request."""

    def __init__(
        self, database: Database, node: str, folder: Folder, settings: Callable[[], Batches]
    ) -> None:
        self._database, self._node, self._folder = database, node, folder
        self._settings = settings
        self._uploads: Counter[str] = Counter()
        self.router = APIRouter(prefix="/v1/files", tags=["files"])
        for method, path, endpoint in (
            ("POST", "", self.create),
            ("GET", "", self.list),
            ("GET", "/{file_id}", self.retrieve),
            ("DELETE", "/{file_id}", self.delete),
            ("GET", "/{file_id}/content", self.content),
        ):
            self.router.add_api_route(path, endpoint, methods=[method], response_model=None)

    async def create(self, request: Request, asker: Who) -> dict[str, Any]:
        """Take a file for a batch, piece by piece."""
        settings = self._settings()
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared[:18]) > settings.max_file + FORM_OVERHEAD:
            raise too_large(settings.max_file)
        await self._has_room(asker, settings, 0)
        with self._uploading(asker.owner):
            id_ = new_file_id()
            async with self._written(id_) as file:
                kept = _Kept(file)
                form = await self._form(request, kept, settings.max_file)
                purpose = form.fields.get("purpose")
                if form.name is None:
                    raise Refused("The form has no file.", param="file")
                if purpose != PURPOSE:
                    raise Refused(
                        f"purpose is {PURPOSE!r} here: files are only for batches.", param="purpose"
                    )
                await run_in_threadpool(kept.finish)
                await run_in_threadpool(self._folder.sync)
                made = self._stored(id_, asker, form)
                if not await run_in_threadpool(
                    add_file,
                    self._database,
                    made,
                    most=settings.files,
                    most_bytes=settings.bytes,
                ):
                    await self._has_room(asker, settings, made.bytes)
                    raise _no_room(settings)
        return file_document(made)

    async def list(self, request: Request, asker: Who) -> dict[str, Any]:
        """Those of the key, or of its team."""
        asked = request.query_params
        limit = limit_of(asked.get("limit"), usual=_LONGEST_LIST, most=_LONGEST_LIST)
        order = asked.get("order", "desc")
        if order not in ("asc", "desc"):
            raise Refused("order is asc or desc.", param="order")
        found = await run_in_threadpool(
            files_after,
            self._database,
            self._node,
            asker.owner,
            after=asked.get("after"),
            limit=limit,
            purpose=asked.get("purpose"),
            newest_first=order == "desc",
        )
        return list_document(found, file_document)

    async def retrieve(self, file_id: str, asker: Who) -> dict[str, Any]:
        """What is known of one."""
        return file_document(await self._found(file_id, asker))

    async def content(self, file_id: str, asker: Who) -> FileResponse:
        """What is in it."""
        found = await self._found(file_id, asker)
        path = self._folder.path(found.id)
        try:
            about = await run_in_threadpool(path.stat)
        except FileNotFoundError:
            message = f"The content of {found.id} is not here any more."
            raise Refused(message, status=404) from None
        kind = "application/jsonl"
        return FileResponse(path, media_type=kind, filename=found.name, stat_result=about)

    async def delete(self, file_id: str, asker: Who) -> dict[str, Any]:
        """Remove one that no batch reads."""
        found = await self._found(file_id, asker)
        if not await run_in_threadpool(
            forget_file, self._database, self._node, asker.owner, found.id
        ):
            raise Refused(
                f"A batch that has not ended reads {found.id}; cancel it first.",
                status=409,
                code="file_in_use",
            )
        await run_in_threadpool(self._folder.remove, found.id)
        return {"id": found.id, "object": "file", "deleted": True}

    async def _found(self, id_: str, asker: Asker) -> StoredFile:
        found = await run_in_threadpool(find_file, self._database, self._node, asker.owner, id_)
        if found is None:
            raise missing("File object", id_)
        return found

    async def _has_room(self, asker: Asker, settings: Batches, size: int) -> None:
        count, used = await run_in_threadpool(held, self._database, self._node, asker.owner)
        if count >= settings.files or used + size > settings.bytes:
            raise _no_room(settings)

    def _uploading(self, owner: str) -> _Uploading:
        if self._uploads[owner] >= _UPLOADS:
            raise Refused(f"{_UPLOADS} files come already.", status=429, code="too_many_uploads")
        return _Uploading(self._uploads, owner)

    @asynccontextmanager
    async def _written(self, id_: str) -> AsyncIterator[BinaryIO]:
        """A new file, which is gone again where anything goes wrong."""
        try:
            with await run_in_threadpool(self._folder.create, id_) as file:
                yield file
        except BaseException as problem:
            self._folder.remove(id_)
            if isinstance(problem, OSError):
                raise Refused(
                    "The gateway's disk takes no file now.", status=507, code="disk_full"
                ) from problem
            raise

    @staticmethod
    async def _form(request: Request, kept: _Kept, most_bytes: int) -> Form:
        kind = request.headers.get("content-type", "")
        try:
            return await read_form(kind, request.stream(), kept.take, most_bytes=most_bytes)
        except ClientDisconnect:
            raise Refused("The client left.") from None

    def _stored(self, id_: str, asker: Asker, form: Form) -> StoredFile:
        anchor, seconds = (
            form.fields.get(f"expires_after[{each}]") for each in ("anchor", "seconds")
        )
        lasts_s, now = kept_for("expires_after", anchor, seconds), int(time.time())
        ends = None if lasts_s is None else now + lasts_s
        return StoredFile(
            id_,
            self._node,
            asker.owner,
            asker.key,
            form.name or "",
            PURPOSE,
            form.size,
            now,
            ends,
        )


def _no_room(settings: Batches) -> Refused:
    return Refused(
        f"{settings.files} files, or {settings.bytes} bytes of them, are all that one key or team "
        "may have here; delete some.",
        status=403,
        code="file_quota_exceeded",
    )


class _Kept:
    """A file that is being written: in large pieces, each in a thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._waiting = file, bytearray()

    async def take(self, part: bytes) -> None:
        self._waiting += part
        if len(self._waiting) >= _PIECE:
            await run_in_threadpool(self._write)

    def finish(self) -> None:
        self._write()
        os.fsync(self._file.fileno())

    def _write(self) -> None:
        waiting = memoryview(self._waiting)
        while waiting:
            waiting = waiting[self._file.write(waiting) :]
        self._waiting = bytearray()


class _Uploading:
    def __init__(self, uploads: Counter[str], owner: str) -> None:
        self._uploads, self._owner = uploads, owner

    def __enter__(self) -> None:
        self._uploads[self._owner] += 1

    def __exit__(self, *_: object) -> None:
        self._uploads[self._owner] -= 1
        if not self._uploads[self._owner]:
            del self._uploads[self._owner]
