"""Just enough of an HTTP/2 client to reset one stream and keep the connection.

Neither httpx nor urllib3 sends RST_STREAM when a caller stops reading; browsers, Go and Node do.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from tests.conformance.bench import SkippedError
from tests.conformance.client import Target


def need_http2(target: Target) -> None:
    """SkippedError where HTTP/2 cannot be spoken."""
    if target.tls is None:
        raise SkippedError("HTTP/2 needs an https:// URL")
    try:
        import h2  # noqa: F401
    except ImportError:
        raise SkippedError("the package h2 is not installed") from None


class Http2:
    """One connection with several streams. bodies, ended: by stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h2.config
        import h2.connection

        self._reader, self._writer = reader, writer
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._changed = asyncio.Event()
        self.bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.closed = False

    def start(self) -> None:
        self._h2.initiate_connection()
        self._flush()

    def post(self, target: Target, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a request; its stream."""
        stream = self._h2.get_next_available_stream_id()
        pseudo = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", f"{target.host}:{target.port}"),
            (":path", target.base_path + path),
        ]
        self._h2.send_headers(stream, [*pseudo, *headers.items()])
        self._h2.send_data(stream, body, end_stream=True)
        self._flush()
        return stream

    def reset(self, stream: int) -> None:
        """Cancel one stream; the connection stays."""
        self._h2.reset_stream(stream, error_code=8)
        self._flush()

    async def until(self, stream: int, wanted: bytes) -> None:
        """Wait for these bytes, or for the stream's end."""
        while not (wanted in self.bodies[stream] or stream in self.ended or self.closed):
            self._changed.clear()
            await self._changed.wait()

    async def whole(self, stream: int) -> bytes:
        while not (stream in self.ended or self.closed):
            self._changed.clear()
            await self._changed.wait()
        return self.bodies[stream]

    async def receive(self) -> None:
        """Take in what comes, until the connection ends."""
        import h2.events as events

        with suppress(OSError):
            while data := await self._reader.read(2**16):
                for each in self._h2.receive_data(data):
                    if isinstance(each, events.DataReceived):
                        self.bodies[each.stream_id] += each.data
                        self._h2.acknowledge_received_data(
                            each.flow_controlled_length, each.stream_id
                        )
                    elif isinstance(each, events.StreamEnded | events.StreamReset):
                        self.ended.add(each.stream_id)
                self._flush()
                self._changed.set()
        self.closed = True
        self._changed.set()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Http2]:
    """A connection over TLS. SkippedError if the gateway does not offer h2."""
    need_http2(target)
    tls = target.tls
    assert tls is not None
    tls.set_alpn_protocols(["h2"])
    try:
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=tls)
    finally:
        tls.set_alpn_protocols(["http/1.1"])
    try:
        spoken = writer.get_extra_info("ssl_object")
        if not isinstance(spoken, ssl.SSLObject) or spoken.selected_alpn_protocol() != "h2":
            raise SkippedError("the gateway does not offer HTTP/2")
        connection = Http2(reader, writer)
        connection.start()
        receiving = asyncio.ensure_future(connection.receive())
        try:
            yield connection
        finally:
            receiving.cancel()
    finally:
        writer.close()
