"""A link before the broker that counts what clients ask: requests by kind and their bytes.

Rule: nothing is changed on the way; only the head of each request is read.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

KINDS = {0: "produce", 1: "fetch", 8: "offset_commit"}
"""Of Kafka's request keys, those that a referral causes."""

CHUNK_BYTES = 65536


@dataclass
class KafkaRequests:
    """What has passed since the start."""

    upstream_port: int
    requests: Counter[str] = field(default_factory=Counter)
    bytes_sent: Counter[str] = field(default_factory=Counter)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        answers = asyncio.create_task(_copy(back, writer))
        try:
            while True:
                size = await reader.readexactly(4)
                request = await reader.readexactly(int.from_bytes(size, "big"))
                self._count(request)
                forth.write(size + request)
                await forth.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            answers.cancel()
            forth.close()
            writer.close()

    def _count(self, request: bytes) -> None:
        kind = KINDS.get(int.from_bytes(request[:2], "big"), "other")
        self.requests[kind] += 1
        self.bytes_sent[kind] += len(request) + 4


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return


@asynccontextmanager
async def counting_link(port: int, upstream_port: int) -> AsyncIterator[KafkaRequests]:
    """Clients connect to ``port``."""
    link = KafkaRequests(upstream_port)
    server = await asyncio.start_server(link.pass_on, "127.0.0.1", port)
    try:
        yield link
    finally:
        server.close()
