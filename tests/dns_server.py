"""A real DNS server on loopback, for tests: answers over UDP from records that the test sets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Records = Mapping[tuple[str, str], Sequence[str]]
"""(name, type) → the records' texts, as in a zone file."""


@dataclass
class DnsServer:
    """records: what it answers. ttl_s: of all of them. silent: it gives no answer at all.

    asked: how often, by (name, type).
    """

    address: str
    records: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    ttl_s: int = 1
    silent: bool = False
    asked: dict[tuple[str, str], int] = field(default_factory=dict)

    def answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
        self.asked[name, kind] = self.asked.get((name, kind), 0) + 1
        if self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | dns.flags.AA
        found = self.records.get((name, kind))
        if found:
            response.answer.append(
                dns.rrset.from_text_list(question.name, self.ttl_s, "IN", kind, found)
            )
        elif not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()


@contextmanager
def dns_server(records: Records) -> Iterator[DnsServer]:
    """It runs on a free port; `address` is what `name_server` takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        server = DnsServer(f"127.0.0.1:{listener.getsockname()[1]}", dict(records))
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                wire, client = listener.recvfrom(4096)
                try:
                    answer = server.answer(wire)
                except dns.exception.DNSException:
                    continue
                if answer is not None:
                    listener.sendto(answer, client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stopped.set()
            listener.sendto(b"", listener.getsockname())
            thread.join(5)
