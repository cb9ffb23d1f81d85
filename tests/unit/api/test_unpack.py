"""Compressed bodies: all of what went in comes out, and no body costs more than its size."""

from __future__ import annotations

import gzip
import json
from functools import partial
from random import Random

import pytest
from backports import zstd

from infergate.api.unpack import Packed, unpacked

MOST = 1_000_000
TEXT = json.dumps([random.random() for random in [Random(1)] * 20_000]).encode()
PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "zstd": partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),
}
CODINGS = pytest.mark.parametrize("coding", sorted(PACKERS))


def refusal(body: bytes, coding: str, most: int = MOST) -> int:
    with pytest.raises(Packed) as told:
        unpacked(body, coding, most)
    return told.value.status


@CODINGS
@pytest.mark.parametrize("left_off", [1, 3, 10, 1000, 100_000])
def test_a_body_that_was_cut_is_no_shorter_body(coding: str, left_off: int) -> None:
    assert refusal(PACKERS[coding](TEXT)[:-left_off], coding) == 400


@CODINGS
def test_several_members_are_one_body(coding: str) -> None:
    pack = PACKERS[coding]
    assert unpacked(pack(b"a") + pack(b"") + pack(TEXT) + pack(b"c"), coding, MOST) == (
        b"a" + TEXT + b"c"
    )
    assert unpacked(b"", coding, MOST) == b""


@CODINGS
def test_a_body_of_empty_members_is_not_unpacked_to_its_end(coding: str) -> None:
    assert refusal(PACKERS[coding](b"") * 1001, coding) == 400


@CODINGS
@pytest.mark.parametrize("behind", [b"\0", b"{}", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_nothing_else_stands_behind_a_body(coding: str, behind: bytes) -> None:
    assert refusal(PACKERS[coding](TEXT) + behind, coding) == 400


@CODINGS
def test_a_body_may_be_as_large_as_the_limit_and_no_larger(coding: str) -> None:
    packed = PACKERS[coding](TEXT)
    assert unpacked(packed, coding, len(TEXT)) == TEXT
    assert refusal(packed, coding, len(TEXT) - 1) == 413
    assert refusal(PACKERS[coding](b" " * 50_000_000), coding) == 413


def test_a_frame_of_zstd_with_nothing_to_read_is_skipped() -> None:
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    assert unpacked(skipped + zstd.compress(TEXT) + skipped, "zstd", MOST) == TEXT


def test_a_window_that_is_larger_than_a_receiver_must_have_is_refused() -> None:
    frame = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    assert refusal(frame.compress(b"{}") + frame.flush(), "zstd") == 400
