"""Connections that ask without end: of their headers, of their time, of their number.

uvicorn limits none of the three, and h11, which limits some, is slower. A request that is being answered is never
cut; a connection whose request does not become whole in time is answered 408 and closed.
"""

import json
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ihala_runtime.problem import Problem

MAX_HEAD_BYTES = 32_768  # address and headers
REQUEST_SECONDS = 20.0  # from its first byte to its last: a full body over a slow mobile line
UNREAD_SECONDS = 20.0  # an answer of which nobody takes a byte
MANY = 500  # of more at once that wait for their request, the oldest leave early
EARLY_SECONDS = 2.0
SWEEP_EVERY_SECONDS = 1

MALFORMED = Problem(400, "malformed-request", "This is no HTTP request")
TOO_SLOW = Problem(408, "too-slow", "The request did not arrive in time")
HEAD_TOO_LARGE = Problem(431, "headers-too-large", "The headers are too large", f"At most {MAX_HEAD_BYTES} bytes.")


class PatientProtocol(HttpToolsProtocol):
    """``waiting``: connections whose request is not whole yet, by the time of its first byte, the oldest first."""

    waiting: ClassVar[dict["PatientProtocol", float]] = {}

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._refusal = MALFORMED
        self._head_bytes: int | None = 0  # None: the headers are whole
        self._in_hand = 0  # bytes that the parser reads now
        self._unread = (0, 0.0)  # bytes, and since when so many

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.waiting[self] = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self not in self.waiting:
            self.waiting[self] = self.loop.time()
        self._in_hand = len(data)
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.refuse(HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refusal = HEAD_TOO_LARGE
            raise ValueError  # the parser gives up, and asks for `send_400_response`
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.waiting.pop(self, None)
        self._head_bytes = -self._in_hand  # what came together with the end of a body is not counted
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  its words are not ours
        self.refuse(self._refusal)

    def refuse(self, problem: Problem) -> None:
        """The last words on this connection, unless an answer is under way."""
        cycle: Any = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = json.dumps(problem.body()).encode()
            head = b"content-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
                body
            )
            self.transport.write(STATUS_LINE[problem.status] + head + body)
        self.transport.close()

    def reads_nothing(self, now: float) -> bool:
        """Whether its answer has waited too long to be taken."""
        size = self.transport.get_write_buffer_size()
        if size != self._unread[0]:
            self._unread = (size, now)
        return size > 0 and now - self._unread[1] > UNREAD_SECONDS

    @classmethod
    def sweep(cls, connections: set[Any], now: float) -> None:
        """Once a second."""
        for each, since in list(cls.waiting.items()):
            allowed = EARLY_SECONDS if len(cls.waiting) > MANY else REQUEST_SECONDS
            if now - since <= allowed:
                break
            cls.waiting.pop(each)
            each.refuse(TOO_SLOW)
        for each in list(connections):
            if each.reads_nothing(now):
                each.transport.abort()
