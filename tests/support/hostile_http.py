"""Requests byte by byte, as no HTTP client would send them."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE_SECONDS = 40.0
MEGABYTE = 1024 * 1024
Pieces = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """status: None when the connection was closed without one."""

    status: int | None
    kind: str = ""


@dataclass(frozen=True)
class Target:
    """One call of a service, and who makes it.  posted: a path of the service to which one can only POST."""

    base: str
    path: str
    key: str
    method: str = "POST"
    posted: str = ""

    def head(self, *more: str, method: str | None = None, path: str | None = None) -> bytes:
        """The request's lines up to its body; `more` headers last."""
        lines = [
            f"{method or self.method} {path or self.path} HTTP/1.1",
            f"Host: {urlsplit(self.base).netloc}",
            f"Authorization: Bearer {self.key}",
            "Idempotency-Key: hostile",
            "Content-Type: application/json",
            *more,
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def with_body(self, body: bytes, *more: str) -> bytes:
        return self.head(f"Content-Length: {len(body)}", *more) + body

    async def ask(self, pieces: Pieces) -> Answer:
        """Send until there is an answer; the answer's first lines."""
        parts = urlsplit(self.base)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        sending = asyncio.create_task(_send(writer, pieces))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (answer := _read(await reader.readuntil(b"\r\n\r\n"))).status == 100:
                    pass  # it may go on
                return answer
        except (asyncio.IncompleteReadError, ConnectionError):
            return Answer(None)
        finally:
            sending.cancel()
            writer.close()


async def _send(writer: asyncio.StreamWriter, pieces: Pieces) -> None:
    try:
        async for piece in pieces():
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        return


def _read(head: bytes) -> Answer:
    lines = head.decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return Answer(int(lines[0].split(" ")[1]), headers.get("content-type", ""))


def at_once(*pieces: bytes) -> Pieces:
    async def send() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return send


def dripping(raw: bytes, seconds: float = 1.0) -> Pieces:
    """A byte at a time."""

    async def send() -> AsyncIterator[bytes]:
        for byte in raw:
            yield bytes([byte])
            await asyncio.sleep(seconds)

    return send


def repeated(head: bytes, piece: bytes, times: int) -> Pieces:
    async def send() -> AsyncIterator[bytes]:
        yield head
        for _ in range(times):
            yield piece

    return send


def quick_cases(call: Target) -> dict[str, tuple[Pieces, set[int]]]:
    """What is answered at once: what is sent, and with which statuses it may be refused."""
    chunked = call.head("Transfer-Encoding: chunked")
    chunk = b"%x\r\n" % MEGABYTE + b" " * MEGABYTE + b"\r\n"
    bodies: dict[str, tuple[bytes, set[int]]] = {
        "a megabyte and one": (b" " * (MEGABYTE + 1), {413}),
        "nested a hundred thousand deep": (b"[" * 100_000, {413}),
        "nested as deep as a body may be": (b'{"needs":' + b"[" * 60_000, {400}),
        "objects in objects": (b'{"a":' * 10_000, {400}),
        "no UTF-8": (b'{"desk_id": "\xff\xfe"}', {400}),
        "half a character": (b'{"desk_id": "\xf0\x9f"}', {400}),
        "a lone surrogate": (b'{"desk_id": "\\ud83d"}', {422}),
        "NUL": (b'{"desk_id": "\\u0000"}', {422}),
        "NUL itself": (b'{"desk_id": "\0"}', {400}),
        "a key twice": (b'{"desk_id": "a", "desk_id": "b"}', {422}),
        "no number": (b'{"birth_year": NaN}', {422}),
        "infinity": (b'{"birth_year": -Infinity}', {422}),
        "a number without end": (b'{"birth_year": ' + b"9" * 60_000 + b"}", {400, 422}),
        "an exponent without end": (b'{"birth_year": 1e' + b"9" * 1_000 + b"}", {400, 422}),
        "six thousand keys": (json.dumps({str(number): 0 for number in range(6_000)}).encode(), {422}),
        "nothing": (b"", {400}),
        "a byte order mark": (b"\xef\xbb\xbf{}", {400}),
        "UTF-16": ('{"desk_id": "a"}'.encode("utf-16"), {400}),
    }
    cases = {name: (at_once(call.with_body(body)), statuses) for name, (body, statuses) in bodies.items()}
    bomb = gzip.compress(b" " * 20 * MEGABYTE)
    lines: dict[str, tuple[bytes, set[int]]] = {
        "a bomb that asks to be unpacked": (call.with_body(bomb, "Content-Encoding: gzip"), {400}),
        "a way out of the path": (call.head(method="GET", path="/v1/../../etc/passwd"), {404}),
        "a hidden way out": (call.head(method="GET", path="/v1/cases/..%2f..%2f..%2fetc%2fpasswd"), {404}),
        "a doubly hidden one": (call.head(method="GET", path="/v1/cases/%252e%252e%255c"), {404}),
        "NUL in the path": (call.head(method="GET", path="/v1/cases/AG%00"), {400, 404}),
        "no UTF-8 in the path": (call.head(method="GET", path="/v1/cases/%ff%fe"), {404}),
        "bytes in the path": (call.head(method="GET", path="/v1/cases/\xff"), {400, 404}),
        "a whole other address": (call.head(method="GET", path="http://169.254.169.254/latest"), {404}),
        "no path": (call.head(method="GET", path="*"), {400, 404}),
        "a method for others": (call.head(method="DELETE"), {405}),
        "TRACE": (call.head(method="TRACE"), {405}),
        "CONNECT": (call.head(method="CONNECT", path="example.org:443"), {400, 404}),
        "no method": (call.head(method="JUMP"), {400}),
        "a method in lower case": (call.head(method="post"), {400}),
        "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", {400}),
        "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), {400}),
        "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), {400}),
        "an upgrade": (
            call.head("Connection: Upgrade", "Upgrade: websocket", method="GET", path=call.posted or None), {405}
        ),
        "two lengths": (call.head("Content-Length: 2", "Content-Length: 3") + b"{}", {400}),
        "length and pieces": (call.head("Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n", {400}),
        "a negative length": (call.head("Content-Length: -1"), {400}),
        "a length beyond numbers": (call.head("Content-Length: 99999999999999999999999"), {400}),
        "a piece beyond numbers": (chunked + b"fffffffffffffffff\r\n", {400}),
        "a piece of no length": (chunked + b"xyz\r\n", {400}),
        "a header without a colon": (call.head("no colon"), {400}),
        "a header with NUL": (call.head("X-A: a\0b"), {400}),
        "a header's name with a blank": (call.head("X A: b"), {400}),
        "a key of bytes": (call.head("Idempotency-Key: \xff", "Content-Length: 0"), {400}),
        "a trace that is none": (call.with_body(b"{}", "traceparent: 00-\xff-'\"-01"), {422}),
        "a megabyte of address": (call.head(method="GET", path="/v1/cases/" + "a" * MEGABYTE), {431}),
        "a megabyte of header": (call.head("X-A: " + "a" * MEGABYTE), {431}),
        "fifty thousand headers": (call.head(*(f"X-{number}: a" for number in range(50_000))), {431}),
    }  # fmt: skip
    cases |= {name: (at_once(raw), statuses) for name, (raw, statuses) in lines.items()}
    return cases | {
        "fifty megabytes": (repeated(call.head(f"Content-Length: {50 * MEGABYTE}"), b" " * MEGABYTE, 50), {413}),
        "fifty megabytes of unknown length": (repeated(chunked, chunk, 50), {413}),
        "headers without end": (repeated(call.head()[:-2] + b"X-A: ", b"a" * MEGABYTE, 50), {431}),
    }


GO_ON_SENDING = frozenset(
    {
        "a megabyte and one",
        "nested a hundred thousand deep",
        "a megabyte of address",
        "a megabyte of header",
        "fifty thousand headers",
        "fifty megabytes",
        "fifty megabytes of unknown length",
        "headers without end",
    }
)
"""Of these the refusal may come before all is sent: with what nobody reads any more TCP may take it away again."""


def slow_cases(call: Target) -> dict[str, tuple[Pieces, set[int]]]:
    """What is waited for, but not for ever."""
    return {
        "headers that drip": (dripping(call.head()), {408}),
        "a body that drips": (dripping_after(call.head("Content-Length: 1000"), b" " * 1_000), {408}),
        "pieces that drip": (dripping_after(call.head("Transfer-Encoding: chunked"), b"1\r\n \r\n" * 200), {408}),
        "empty lines that drip": (dripping(b"\r\n" * 100), {408}),
        "a body that never comes": (at_once(call.head("Content-Length: 9", "Expect: 100-continue")), {408}),
        "nothing at all": (at_once(), {408}),
    }


def dripping_after(head: bytes, raw: bytes) -> Pieces:
    async def send() -> AsyncIterator[bytes]:
        yield head
        async for piece in dripping(raw)():
            yield piece

    return send
