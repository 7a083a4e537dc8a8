"""Which addresses a webhook may reach. An agency's URL is input from a stranger: it must never become a way
into our own network.

Two questions, asked at two moments: `check_url` when an address is registered and before every try (shape,
scheme, port, literal addresses), `check_address` for what is really connected to, at the moment of connecting
(a name may resolve to anything, and to something else a second later).
"""

import ipaddress
import re
from dataclasses import dataclass, field

from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_CHARACTERS = 2_048
ALLOWED_PORTS = frozenset({443, 8443})

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
IPV4_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# `is_global` of Python 3.11 answers True for these.
NEVER_GLOBAL: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "3fff::/20",  # documentation
    )
)
# An interface id that ends in 5efe:<IPv4> is an ISATAP tunnel to that IPv4 address.
ISATAP_MARKS = (0x0000_5EFE, 0x0200_5EFE)
NUMERIC_HOST_END = re.compile(r"(?:^|\.)(?:\d+|0[xX][0-9a-fA-F]*)\.?$")
FORBIDDEN_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\]")


class AddressRefused(Exception):
    """The address may not be reached. `code` is stable; the text never repeats the address."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """private_networks: the only non-global addresses that may be reached; http only to those."""

    private_networks: tuple[Network, ...] = ()
    allowed_ports: frozenset[int] = field(default=ALLOWED_PORTS)

    def check_url(self, text: str) -> URL:
        """The parsed URL. Raises AddressRefused."""
        url = _parsed(text)
        if url.scheme not in ("http", "https"):
            raise AddressRefused("scheme", "only https is allowed")
        if "@" in _authority(text):
            raise AddressRefused("userinfo", "a user or password in the address is not allowed")
        if url.raw_fragment:
            raise AddressRefused("fragment", "a fragment is not allowed")
        self._check_host(url)
        return url

    def check_address(self, text: str, port: int, *, scheme: str) -> None:
        """For the address that is about to be connected to. Raises AddressRefused."""
        address = embedded_ipv4(_address(text))
        if any(address in network for network in self.private_networks):
            return
        if scheme != "https":
            raise AddressRefused("scheme", "http is allowed only to the listed private networks")
        if not is_public(address):
            raise AddressRefused("address", "the address is not a public one")
        if port not in self.allowed_ports:
            raise AddressRefused("port", "the port is not allowed")

    def _check_host(self, url: URL) -> None:
        host = url.raw_host or ""
        if not host or "%" in host:
            raise AddressRefused("host", "a host is required")
        if ":" in host or NUMERIC_HOST_END.search(host):
            self.check_address(host, url.port or 0, scheme=url.scheme)
        elif not self.private_networks and url.scheme != "https":
            raise AddressRefused("scheme", "only https is allowed")
        elif not self.private_networks and url.port not in self.allowed_ports:
            raise AddressRefused("port", "the port is not allowed")


def _parsed(text: str) -> URL:
    if len(text) > MAX_URL_CHARACTERS or FORBIDDEN_IN_A_URL.search(text):
        raise AddressRefused("url", "too long, or with blanks, control characters or backslashes")
    try:
        url = URL(text)
        url.port  # noqa: B018  a port that is no number is only found when it is read
    except (ValueError, UnicodeError) as error:
        raise AddressRefused("url", "not a URL") from error
    return url


def _authority(text: str) -> str:
    """As written: the parser drops an empty user."""
    return re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise AddressRefused("address", "not an address in its usual form") from error


def embedded_ipv4(address: Address) -> Address:
    """The IPv4 address inside a mapped, translated, NAT64 or 6to4 one; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64 or address in IPV4_TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_public(address: Address) -> bool:
    """Stricter than `is_global`: IPv6 must be global unicast, and tunnels to elsewhere are not public."""
    if not address.is_global or any(address in network for network in NEVER_GLOBAL):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    return address in GLOBAL_UNICAST and (int(address) >> 32) & 0xFFFF_FFFF not in ISATAP_MARKS
