"""Every shape of address that points inside is refused, and nothing is ever connected to.

Each case runs through the real client. Python's own audit event for `connect` proves that no packet left;
names are answered by a table instead of a name server.
"""

import asyncio
import ipaddress
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from ihala_notification.adapters.webhook_client import AddressRow, WebhookClient, WebhookTimes
from ihala_notification.domain.attempt import Failure
from ihala_notification.domain.webhook_address import AddressPolicy

PRIVATE_V4 = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1",
    "127.255.255.254", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255",
    "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
)  # fmt: skip
PRIVATE_V6 = (
    "::", "::1", "::7f00:1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::ffff:0:a00:1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:7f00:1::1", "2001:2::1",
    "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::1", "2002:c0a8:101::1",
    "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::5efe:a00:1",
    "fec0::1", "ff02::1", "ff0e::1", "2001:4860::5efe:127.0.0.1", "2001:4860::200:5efe:10.0.0.1",
)  # fmt: skip
ODD_LITERALS = (
    "https://2130706433/", "https://0/", "https://017700000001/", "https://0177.0.0.1/",
    "https://0177.0000.0000.0001/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0x7F.0x0.0x0.0x1/",
    "https://127.1/", "https://127.0.1/", "https://10.1/", "https://127.0.0.1./", "https://127.0.0.01/",
    "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://127．0．0．1/", "https://%31%32%37.0.0.1/",
    "https://4294967296/", "https://256.256.256.256/", "https://1.2.3.4.5/", "https://[::1%25lo]/",
    "https://[fe80::1%eth0]/", "https://3232235777/", "https://0xa9.0xfe.0xa9.0xfe/",
)  # fmt: skip
OTHER_SHAPES = (
    "http://agency.example/", "http://8.8.8.8/", "ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/1",
    "dict://8.8.8.8:443/", "ldap://8.8.8.8/", "ws://8.8.8.8/", "unix:///run/docker.sock", "data:,x",
    "javascript:alert(1)", "//8.8.8.8/", "8.8.8.8", "https://", "https:///x", "https:8.8.8.8", "http:/8.8.8.8",
    "https://user@8.8.8.8/", "https://u:p@8.8.8.8/", "https://@8.8.8.8/", "https://8.8.8.8@127.0.0.1/",
    "https://8.8.8.8:443@127.0.0.1:8443/", "https://127.0.0.1#@8.8.8.8/", "https://8.8.8.8\\@127.0.0.1/",
    "https://8.8.8.8:22/", "https://8.8.8.8:25/", "https://8.8.8.8:80/", "https://8.8.8.8:5432/",
    "https://8.8.8.8:9092/", "https://8.8.8.8:0/", "https://8.8.8.8:-1/", "https://8.8.8.8:65536/",
    "https://8.8.8.8/\r\nX: y", "https://8.8.8.8/\tx", " https://8.8.8.8/", "https://8.8.8.8 /",
    "https://8.8.8.8/\x00", "https://[::1/", "https://[/", "https://[]/", "https://[1.2.3.4]/",
)  # fmt: skip
# What each name is resolved to. One private address among public ones is enough.
NAMES: dict[str, tuple[str, ...]] = {
    "localhost": ("127.0.0.1", "::1"),
    "localhost.": ("127.0.0.1",),
    "localhost.localdomain": ("127.0.0.1",),
    "localtest.example": ("127.0.0.1",),
    "lan.example": ("192.168.1.1",),
    "metadata.google.internal": ("169.254.169.254",),
    "zero.example": ("0.0.0.0",),
    "mixed.example": ("8.8.8.8", "10.0.0.1"),
    "mixed6.example": ("2606:4700::1111", "::1"),
    "last.example": ("8.8.8.8", "1.1.1.1", "8.8.4.4", "172.16.0.9"),
    "mapped.example": ("::ffff:127.0.0.1",),
    "nat64.example": ("64:ff9b::7f00:1",),
    "sixtofour.example": ("2002:7f00:1::1",),
    "multicast.example": ("224.0.0.251",),
    "linklocal.example": ("fe80::1",),
    "xn--9ca.example": ("127.0.0.1",),
    "é.example": ("127.0.0.1",),
    "dead.beef.example": ("fd00::1",),
    "127.0.0.1.nip.example": ("127.0.0.1",),
    "kubernetes.default.svc": ("10.96.0.1",),
    "postgres": ("172.18.0.2",),
}
CORPUS = [
    *(f"https://{address}{port}/hook" for address in PRIVATE_V4 for port in ("", ":8443")),
    *(f"https://[{address}]/hook" for address in PRIVATE_V6),
    *(f"http://{address}/hook" for address in PRIVATE_V4[:8]),
    *ODD_LITERALS,
    *OTHER_SHAPES,
    *(f"https://{name}/hook" for name in NAMES),
    *(f"https://{name}:8443/hook" for name in NAMES),
    "https://public.example:8080/", "https://public.example:22/", "http://public.example:8443/",
]  # fmt: skip


class Connections:
    """Counts Python's `socket.connect` audit events while it is switched on."""

    def __init__(self) -> None:
        self.counting = False
        self.seen: list[Any] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.counting and event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            self.seen.append(arguments[1:])


ALL_CONNECTIONS = Connections()


@pytest.fixture
def connections() -> Iterator[list[Any]]:
    ALL_CONNECTIONS.seen.clear()
    ALL_CONNECTIONS.counting = True
    yield ALL_CONNECTIONS.seen
    ALL_CONNECTIONS.counting = False


def from_the_table(host: str, port: int, family: int) -> Sequence[AddressRow]:
    addresses = NAMES.get(host, ("8.8.8.8",))
    kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
    return [(kind, 1, 6, "", (address, port)) for kind, address in zip(kinds, addresses, strict=True)]


@pytest.fixture
async def strict_client() -> AsyncIterator[WebhookClient]:
    async with WebhookClient(AddressPolicy(), WebhookTimes(2.0, 1.0), look_up=from_the_table) as client:
        yield client


def test_the_corpus_is_large_and_has_no_case_twice() -> None:
    assert len(CORPUS) >= 200
    assert len(set(CORPUS)) == len(CORPUS)


@pytest.mark.parametrize("address", CORPUS, ids=ascii)
async def test_an_address_that_points_inside_is_refused_before_a_byte_is_sent(
    strict_client: WebhookClient, connections: list[Any], address: str
) -> None:
    result = await strict_client.post(address, {}, b"{}")

    assert result.failure is Failure.ADDRESS_REFUSED
    assert connections == []


async def test_a_connection_would_have_been_seen(connections: list[Any]) -> None:
    policy = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),))
    async with WebhookClient(policy, WebhookTimes(1.0, 1.0)) as client:
        result = await client.post("http://127.0.0.1:9/", {}, b"{}")

    assert result.failure is Failure.CONNECTION
    assert connections == [(("127.0.0.1", 9),)]


async def test_the_guard_holds_when_a_name_changes_its_mind(connections: list[Any]) -> None:
    answers = iter([("8.8.8.8",), ("127.0.0.1",)])

    def rebinding(host: str, port: int, family: int) -> Sequence[AddressRow]:
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in next(answers)]

    async with WebhookClient(AddressPolicy(), WebhookTimes(0.2, 0.1), look_up=rebinding) as client:
        await client.post("https://rebinding.example/", {}, b"{}")
        await client.post("https://rebinding.example/", {}, b"{}")

    assert {address for ((address, _),) in connections} <= {"8.8.8.8"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    followed = asyncio.Event()

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/inside"})

    async def inside(request: web.Request) -> web.Response:
        followed.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", redirect)
    app.router.add_route("*", "/inside", inside)
    policy = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),))
    async with TestServer(app) as server, WebhookClient(policy) as client:
        result = await client.post(str(server.make_url("/hook")), {}, b"{}")

    assert (result.status, result.failure) == (status, Failure.STATUS)
    assert not followed.is_set()
