"""/v1/files: given by the official client, kept for whose they are, and bounded."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergate.api.batches import app
from infergate.api.files.form import read_form
from infergate.api.refusal import Refused
from infergate.ledger import retention
from tests.batches import CallerDouble, Served, jsonl, served

Walk = Callable[[Served], Awaitable[None]]


def walk(folder: Path, steps: Walk, **settings: Any) -> None:
    async def all_of_it() -> None:
        async with served(folder, CallerDouble(), **settings) as it:
            await steps(it)

    asyncio.run(all_of_it())


def on_disk(it: Served) -> list[str]:
    return sorted(each.name for each in it.files.iterdir())


def test_the_official_client_gives_lists_fetches_and_deletes_a_file(tmp_path: Path) -> None:
    content = jsonl(*range(1000))

    async def steps(it: Served) -> None:
        client = it.client()
        made = await client.files.create(file=("my lines.jsonl", content), purpose="batch")
        assert (made.object, made.purpose, made.status) == ("file", "batch", "processed")
        assert (made.bytes, made.filename) == (len(content), "my lines.jsonl")
        assert await client.files.retrieve(made.id) == made
        assert [each async for each in client.files.list()] == [made]
        assert (await client.files.content(made.id)).content == content
        assert (await client.files.delete(made.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(made.id)
        assert on_disk(it) == []

    walk(tmp_path, steps)


def test_a_file_is_for_its_owner_alone_on_the_disk_and_is_not_called_as_the_client_likes(
    tmp_path: Path,
) -> None:
    async def steps(it: Served) -> None:
        made = await it.client().files.create(file=("../../etc/x", b"{}"), purpose="batch")
        assert made.filename == "x"
        assert on_disk(it) == [made.id]
        assert (it.files / made.id).stat().st_mode & 0o777 == 0o600
        assert it.files.stat().st_mode & 0o777 == 0o700

    walk(tmp_path, steps)


def test_nobody_else_finds_a_file_but_the_keys_of_its_team_do(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        mine, colleague = it.client("t red", "a"), it.client("t red", "b")
        stranger = it.client("k other", "c")
        made = await mine.files.create(file=("in", b"{}"), purpose="batch")
        assert (await colleague.files.content(made.id)).content == b"{}"
        assert [each async for each in stranger.files.list()] == []
        for ask in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
            with pytest.raises(openai.NotFoundError):
                await ask(made.id)
        with pytest.raises(openai.BadRequestError):
            await stranger.files.list(after=made.id)
        assert on_disk(it) == [made.id]

    walk(tmp_path, steps)


@pytest.mark.parametrize("id_", ["file-", "%2e%2e%2fstore.db", "file-" + "0" * 32, "x" * 500])
def test_an_id_that_is_none_is_not_found(tmp_path: Path, id_: str) -> None:
    async def steps(it: Served) -> None:
        for ask in (it.client().files.retrieve, it.client().files.content):
            with pytest.raises(openai.NotFoundError):
                await ask(id_)

    walk(tmp_path, steps)


def test_who_nginx_does_not_name_gets_nothing(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        with pytest.raises(openai.AuthenticationError):
            await it.client(owner="").files.list()

    walk(tmp_path, steps)


def test_lists_come_in_pages_from_either_end(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        ids = [
            (await client.files.create(file=(f"f{number}", b"{}"), purpose="batch")).id
            for number in range(5)
        ]
        assert [each.id async for each in client.files.list(limit=2, order="asc")] == ids
        assert [each.id async for each in client.files.list(limit=2)] == ids[::-1]
        assert [each.id async for each in client.files.list(purpose="fine-tune")] == []
        page = await client.files.list(limit=2, after=ids[3])
        assert [each.id for each in page.data] == [ids[2], ids[1]]
        for wrong in ({"limit": 0}, {"limit": 10_001}, {"order": "up"}):
            with pytest.raises(openai.BadRequestError):
                await client.files.list(**wrong)

    walk(tmp_path, steps)


def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        for size in (1025, 100_000):  # told by the form, and by its head
            with pytest.raises(openai.APIStatusError) as refused:
                await it.client().files.create(file=("in", b"x" * size), purpose="batch")
            assert refused.value.status_code == 413
            assert refused.value.code == "file_too_large"
        assert on_disk(it) == []

    walk(tmp_path, steps, max_file=1024)


def test_who_has_all_files_that_one_may_have_is_told_so(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        await client.files.create(file=("a", b"x" * 700), purpose="batch")
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await client.files.create(file=("b", b"x" * 700), purpose="batch")
        assert refused.value.code == "file_quota_exceeded"
        await client.files.create(file=("c", b"x"), purpose="batch")
        with pytest.raises(openai.PermissionDeniedError):
            await client.files.create(file=("d", b"x"), purpose="batch")
        await it.client("k two").files.create(file=("e", b"x" * 700), purpose="batch")
        assert len(on_disk(it)) == 3

    walk(tmp_path, steps, files=2, bytes=1024)


def test_forms_that_are_none_are_refused_in_openais_shape_and_leave_nothing(
    tmp_path: Path,
) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    purpose = b'\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch'
    forms = [
        b"",
        b"--b--\r\n",
        head + b"{}",  # breaks off
        head + b"{}\r\n--b--\r\n",  # no purpose
        purpose[2:] + b"\r\n--b--\r\n",  # no file
        head + b"{}\r\n" + head + b"{}" + purpose + b"\r\n--b--\r\n",  # two
        head + b"{}" + purpose + b"x\r\n--b--\r\n",
        b"--b\r\nContent-Disposition\r\n\r\n" + b"\0" * 100,
        b"--b\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        head + b"{}" + b"\r\n--b\r\nContent-Disposition: form-data; name=p\r\n\r\n" + b"z" * 9999,
    ]

    async def steps(it: Served) -> None:
        http = it.client()._client
        told = {n: v for n, v in it.client().default_headers.items() if isinstance(v, str)}
        for kind in ("multipart/form-data; boundary=b", "application/json", "multipart/form-data"):
            for form in forms:
                answer = await http.post(
                    "http://gateway/v1/files",
                    content=form,
                    headers={**told, "content-type": kind},
                )
                assert answer.status_code in (400, 415), (kind, form, answer.text)
                assert answer.json()["error"]["type"] == "invalid_request_error"
        assert on_disk(it) == []

    walk(tmp_path, steps)


@given(st.binary(max_size=300), st.lists(st.integers(1, 400), max_size=8))
def test_a_file_is_kept_byte_by_byte_however_its_form_is_cut(
    content: bytes, cuts: list[int]
) -> None:
    head = b'--b-7\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    head += b'--b-7\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    form = head + content + b"\r\n--b-7--\r\n"
    kept = bytearray()

    async def pieces() -> Any:
        ends = sorted({min(each, len(form)) for each in cuts} | {len(form)})
        for start, end in zip([0, *ends], ends, strict=False):
            yield form[start:end]

    async def keep(part: bytes) -> None:
        kept.extend(part)

    read = read_form("multipart/form-data; boundary=b-7", pieces(), keep, most_bytes=300)
    if b"\r\n--b-7" in content:
        with pytest.raises(Refused):
            asyncio.run(read)
        return
    found = asyncio.run(read)
    assert (bytes(kept), found.size, found.fields) == (content, len(content), {"purpose": "batch"})


def test_a_file_ends_when_its_client_or_the_operator_wants_it_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        soon = await client.files.create(
            file=("a", b"{}"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        later = await client.files.create(file=("b", b"{}"), purpose="batch")
        assert soon.expires_at == soon.created_at + 3600
        with pytest.raises(openai.BadRequestError):
            await client.files.create(
                file=("c", b"{}"),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": 3},
            )
        now = time.time()
        await it.batches.tidy()
        assert on_disk(it) == sorted([soon.id, later.id])
        monkeypatch.setattr(time, "time", lambda: now + 3700)
        await it.batches.tidy()
        assert on_disk(it) == [later.id]
        monkeypatch.setattr(time, "time", lambda: now + 8000)
        await it.batches.tidy()
        assert on_disk(it) == []

    walk(tmp_path, steps, retention=7200)


def test_a_clock_that_jumps_a_year_ahead_removes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    trusted = retention.Clock.is_trusted

    def noted(clock: retention.Clock) -> bool:
        looks.append(trusted(clock))
        return looks[-1]

    async def steps(it: Served) -> None:
        made = await it.client().files.create(file=("a", b"{}"), purpose="batch")
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 365 * 86400)
        before = len(looks)
        while len(looks) < before + 3:
            await asyncio.sleep(0.01)
        assert on_disk(it) == [made.id]
        assert not looks[-1]

    monkeypatch.setattr(retention.Clock, "is_trusted", noted)
    monkeypatch.setattr(app, "_TIDY_S", 0.01)
    walk(tmp_path, steps)
    assert looks[0], "before it jumps, what is old goes"


def test_what_a_kill_left_of_an_upload_is_gone_after_the_next_start(tmp_path: Path) -> None:
    async def first(it: Served) -> None:
        await it.client().files.create(file=("a", b"{}"), purpose="batch")

    walk(tmp_path, first)
    kept = sorted((tmp_path / "files").iterdir())
    (tmp_path / "files" / ("file-" + "0" * 32)).write_bytes(b"half of it")
    (tmp_path / "files" / "README").write_text("the operator's")

    async def second(it: Served) -> None:
        assert on_disk(it) == sorted(["README", *(each.name for each in kept)])

    walk(tmp_path, second)


def test_a_disk_that_takes_no_file_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(it: Served) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", _full)
            with pytest.raises(openai.InternalServerError) as refused:
                await it.client().files.create(file=("x", b"{}"), purpose="batch")
        assert (refused.value.status_code, refused.value.code) == (507, "disk_full")
        assert on_disk(it) == []
        assert [each async for each in it.client().files.list()] == []
        await it.client().files.create(file=("x", b"{}"), purpose="batch")

    walk(tmp_path, steps)


def _full(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/files/", 404), ("PUT", "/v1/files", 405), ("POST", "/v1/batches/x", 405)],
)
def test_what_there_is_not_is_refused_in_openais_shape_and_leads_nowhere(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    async def steps(it: Served) -> None:
        answer = await it.client()._client.request(method, f"http://gateway{path}")
        assert (answer.status_code, "location" in answer.headers) == (status, False)
        assert answer.json()["error"]["message"]

    walk(tmp_path, steps)
