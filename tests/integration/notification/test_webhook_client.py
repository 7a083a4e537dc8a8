"""The webhook client against endpoints that misbehave in every way an endpoint can."""

import asyncio
import gzip
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import pytest
from ihala_notification.adapters.webhook_client import WebhookClient, WebhookTimes
from ihala_notification.domain.attempt import Failure
from ihala_notification.domain.webhook_address import AddressPolicy
from support.tls import self_signed

LOCAL = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),))
TIMES = WebhookTimes(total_seconds=0.6, answer_seconds=0.2)
PATIENT = WebhookTimes(total_seconds=10.0, answer_seconds=5.0)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def client() -> AsyncIterator[WebhookClient]:
    async with WebhookClient(LOCAL, TIMES) as client:
        yield client


@asynccontextmanager
async def an_endpoint(answer: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A TCP server that reads one request, then does as told. Yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook"
    finally:
        server.close()


def saying(raw: bytes) -> Answering:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


@pytest.mark.parametrize(
    ("raw", "status", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 410, Failure.GONE),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503, Failure.STATUS),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None, Failure.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", None, Failure.PROTOCOL),
        (b"", None, Failure.CONNECTION),
    ],
)
async def test_an_answer_is_taken_for_what_it_is(
    client: WebhookClient, raw: bytes, status: int | None, failure: Failure | None
) -> None:
    async with an_endpoint(saying(raw)) as url:
        result = await client.post(url, {}, b"{}")

    assert (result.status, result.failure) == (status, failure)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (b"120", 120.0),
        (b"soon", None),
        (b"-5", None),
        (b"9" * 400, 999_999_999.0),
        (b"Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
async def test_retry_after_is_read_when_it_can_be(client: WebhookClient, asked: bytes, seconds: float | None) -> None:
    raw = b"HTTP/1.1 429 Slow\r\nRetry-After: " + asked + b"\r\nContent-Length: 0\r\n\r\n"
    async with an_endpoint(saying(raw)) as url:
        result = await client.post(url, {}, b"{}")

    assert (result.status, result.retry_after_seconds) == (429, seconds)


async def test_a_retry_after_date_in_the_past_means_now(client: WebhookClient) -> None:
    date = b"Wed, 21 Oct 2015 07:28:00 GMT"
    raw = b"HTTP/1.1 503 Busy\r\nRetry-After: " + date + b"\r\nContent-Length: 0\r\n\r\n"
    async with an_endpoint(saying(raw)) as url:
        result = await client.post(url, {}, b"{}")

    assert result.retry_after_seconds == 0


async def test_an_endpoint_that_never_answers_costs_the_deadline_and_no_more(client: WebhookClient) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    started = perf_counter()
    async with an_endpoint(hang) as url:
        result = await client.post(url, {}, b"{}")

    assert result.failure is Failure.TIMEOUT
    assert 0.5 < perf_counter() - started < 5


async def test_an_endpoint_that_hangs_after_its_headers_has_answered(client: WebhookClient) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await reader.read()

    async with an_endpoint(hang) as url:
        result = await client.post(url, {}, b"{}")

    assert (result.is_success, result.answer) == (True, b"")


async def test_a_promise_of_an_answer_that_never_ends_times_out(client: WebhookClient) -> None:
    async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with an_endpoint(go_on) as url:
        result = await client.post(url, {}, b"{}")

    assert result.failure is Failure.TIMEOUT


async def test_headers_without_end_are_cut(client: WebhookClient) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: 1\r\n" * 1_000)
            await writer.drain()
            sent += 11_000

    async with an_endpoint(flood) as url:
        result = await client.post(url, {}, b"{}")

    assert result.failure in (Failure.PROTOCOL, Failure.TIMEOUT)
    assert sent < 100 * 1024 * 1024


async def test_headers_that_drip_in_for_ever_time_out(client: WebhookClient) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with an_endpoint(drip) as url:
        result = await client.post(url, {}, b"{}")

    assert result.failure in (Failure.TIMEOUT, Failure.PROTOCOL)


async def test_a_body_that_drips_costs_two_moments_and_the_status_counts() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    times = WebhookTimes(total_seconds=10.0, answer_seconds=0.2)
    started = perf_counter()
    async with an_endpoint(drip) as url, WebhookClient(LOCAL, times) as client:
        result = await client.post(url, {}, b"{}")

    assert result.is_success
    assert 0 < len(result.answer) < 100
    assert perf_counter() - started < 5


async def test_an_endless_body_is_cut_and_one_kilobyte_is_kept(client: WebhookClient) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()
            sent += 65_536

    async with an_endpoint(flood) as url:
        result = await client.post(url, {}, b"{}")

    assert (result.is_success, result.answer) == (True, b"x" * 1_024)
    assert sent < 20 * 1024 * 1024


async def test_a_compressed_answer_is_never_unpacked(client: WebhookClient) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with an_endpoint(saying(head + bomb)) as url:
        result = await client.post(url, {}, b"{}")

    assert (result.is_success, result.answer) == (True, bomb[:1_024])


async def test_a_reset_is_a_connection_failure(client: WebhookClient) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with an_endpoint(reset) as url:
        result = await client.post(url, {}, b"{}")

    assert result.failure is Failure.CONNECTION


async def test_nobody_listening_is_a_connection_failure(client: WebhookClient) -> None:
    result = await client.post("http://127.0.0.1:9/", {}, b"{}")

    assert result.failure is Failure.CONNECTION


async def test_a_certificate_nobody_vouches_for_is_a_tls_failure(client: WebhookClient, tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*self_signed(tmp_path, "127.0.0.1"))

    async with an_endpoint(saying(b"HTTP/1.1 200 OK\r\n\r\n"), tls) as url:
        result = await client.post(url, {}, b"{}")

    assert result.failure is Failure.TLS


@pytest.mark.parametrize(("address", "hours_left"), [("127.0.0.1", -1), ("127.0.0.2", 1)])
async def test_a_certificate_that_is_over_or_anothers_is_a_tls_failure(
    tmp_path: Path, address: str, hours_left: int
) -> None:
    """Vouched for, in both cases."""
    certificate, key = self_signed(tmp_path, address, hours_left)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async with an_endpoint(saying(OK), tls) as url, WebhookClient(LOCAL, PATIENT, tls=trusting) as client:
        result = await client.post(url, {}, b"{}")

    assert result.failure is Failure.TLS


async def test_a_certificate_that_is_right_is_taken(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async with an_endpoint(saying(OK), tls) as url, WebhookClient(LOCAL, PATIENT, tls=trusting) as client:
        result = await client.post(url, {}, b"{}")

    assert result.status == 204


async def test_a_handshake_that_hangs_costs_the_deadline(client: WebhookClient) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    try:
        result = await client.post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {}, b"{}")
    finally:
        server.close()

    assert result.failure is Failure.TIMEOUT


async def test_the_environments_proxies_and_cookies_are_ignored(
    client: WebhookClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with an_endpoint(answer) as url:
        first = await client.post(url, {"webhook-id": "m1"}, b"")
        second = await client.post(url, {"webhook-id": "m2"}, b"")

    assert (first.status, second.status) == (200, 200)
    assert b"webhook-id: m2" in requests[0]
    assert b"Cookie" not in requests[0]
