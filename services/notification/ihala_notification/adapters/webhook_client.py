"""Posts one message to one agency, and connects to nothing it should not.

The guard sits at the moment of connecting, not before it: names are resolved here, every answer is checked,
and the socket is made only for a checked address. aiohttp does not ask the resolver for a literal address, so
the socket factory checks once more whatever is about to be connected to. https and http have a connector
each, because http may reach only the listed private networks and connections are kept alive per connector.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from ihala_runtime.logs import logger

from ihala_notification.domain.attempt import AttemptResult, Failure, failure_of_status
from ihala_notification.domain.webhook_address import AddressPolicy, AddressRefused

TOTAL_SECONDS = 15.0
# The answer's status decides; its body is read only to keep the connection and to show operators a little.
ANSWER_SECONDS = 2.0
MAX_ANSWER_BYTES = 64 * 1024
KEPT_ANSWER_BYTES = 1_024
RESOLVED_FOR_SECONDS = 30
# A name server that hangs holds one thread per name, never the other agencies.
RESOLVER_THREADS = 32
MAX_SOCKETS = 512
MAX_REMEMBERED_URLS = 2_000
USER_AGENT = "Ihala-Webhooks/1"

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookTimes:
    total_seconds: float = TOTAL_SECONDS
    answer_seconds: float = ANSWER_SECONDS


AddressRow = tuple[int, int, int, str, tuple[Any, ...]]
LookUp = Callable[[str, int, int], Sequence[AddressRow]]


def system_look_up(host: str, port: int, family: int) -> Sequence[AddressRow]:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


class GuardedResolver(AbstractResolver):
    """Resolves a name and refuses it whole when one of its addresses may not be reached."""

    def __init__(self, policy: AddressPolicy, scheme: str, threads: ThreadPoolExecutor, look_up: LookUp) -> None:
        self._policy = policy
        self._scheme = scheme
        self._threads = threads
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host, port, family)
        for _, _, _, _, address in found:
            self._policy.check_address(str(address[0]), port, scheme=self._scheme)
        return [self._result(host, port, row) for row in found]

    async def close(self) -> None:
        """The threads belong to the client."""

    @staticmethod
    def _result(host: str, port: int, row: AddressRow) -> ResolveResult:
        family, _, protocol, _, address = row
        return ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=family,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )


def guarded_connector(
    policy: AddressPolicy, scheme: str, resolver: AbstractResolver, tls: ssl.SSLContext | None = None
) -> aiohttp.TCPConnector:
    """A connector that makes a socket only for an address the policy admits."""

    def checked_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        policy.check_address(str(address[0]), int(address[1]), scheme=scheme)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return aiohttp.TCPConnector(
        resolver=resolver,
        ttl_dns_cache=RESOLVED_FOR_SECONDS,
        limit=MAX_SOCKETS,
        socket_factory=checked_socket,
        ssl=tls or True,
    )


class WebhookClient:
    """Use as an async context manager. One try is one `post`; what it means is the caller's business."""

    def __init__(
        self,
        policy: AddressPolicy,
        times: WebhookTimes | None = None,
        look_up: LookUp = system_look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._times = times or WebhookTimes()
        self._look_up = look_up
        self._tls = tls
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="webhook-dns")
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._checked = lru_cache(MAX_REMEMBERED_URLS)(policy.check_url)

    def open(self) -> None:
        """Within the event loop that will send."""
        self._sessions = {scheme: self._session(scheme) for scheme in ("http", "https")}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def post(self, address: str, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        """Never raises for what the network or the agency does."""
        started = perf_counter()
        try:
            async with asyncio.timeout(self._times.total_seconds):
                status, answer, retry_after = await self._exchange(address, headers, body)
        except Exception as error:
            failure = _failure_of(error)
            if failure is None:
                _log.error("a webhook failed in a way nobody thought of", action="deliver.post", exc_info=error)
            return AttemptResult(
                status=None, failure=failure or Failure.PROTOCOL, latency_ms=_milliseconds_since(started)
            )
        return AttemptResult(
            status=status,
            failure=failure_of_status(status),
            latency_ms=_milliseconds_since(started),
            answer=answer,
            retry_after_seconds=retry_after,
        )

    async def _exchange(self, address: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes, float | None]:
        url = self._checked(address)
        async with self._sessions[url.scheme].post(url, data=body, headers=headers, allow_redirects=False) as response:
            answer = await self._beginning_of(response)
            return response.status, answer, _retry_after(response.headers.get("Retry-After"))

    async def _beginning_of(self, response: aiohttp.ClientResponse) -> bytes:
        """The first kilobyte. An answer that is too long or too slow costs the connection, nothing else."""
        kept = bytearray()
        read = 0
        try:
            if response.content.is_eof():  # it came together with the head, as short answers do
                return response.content.read_nowait()[:KEPT_ANSWER_BYTES]
            async with asyncio.timeout(self._times.answer_seconds):
                async for piece in response.content.iter_any():
                    kept += piece[: KEPT_ANSWER_BYTES - len(kept)]
                    read += len(piece)
                    if read > MAX_ANSWER_BYTES:
                        response.close()
                        break
        except (TimeoutError, aiohttp.ClientError):
            response.close()
        return bytes(kept)

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        resolver = GuardedResolver(self._policy, scheme, self._threads, self._look_up)
        return aiohttp.ClientSession(
            connector=guarded_connector(self._policy, scheme, resolver, self._tls),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={
                "User-Agent": USER_AGENT,
                "Content-Type": "application/json",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
        )


def _failure_of(error: BaseException) -> Failure | None:
    match error:
        case AddressRefused() | aiohttp.InvalidURL() | UnicodeError():
            return Failure.ADDRESS_REFUSED
        case TimeoutError():
            return Failure.TIMEOUT
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Failure.TLS
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return Failure.PROTOCOL
        case BaseExceptionGroup() as group:
            return _failure_of(group.exceptions[0])
        case aiohttp.ClientError() | OSError():
            return Failure.CONNECTION
        case _:
            return None


def _retry_after(text: str | None) -> float | None:
    """Seconds, from a number or an HTTP date; None when absent or unreadable."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):  # the last day, elsewhere
        return None


def _milliseconds_since(started: float) -> int:
    return round((perf_counter() - started) * 1_000)
