"""Which hosts a service may speak with in production: those that the deployer listed, all in the country (P16).

An address that cannot be read is refused: what is not understood is not allowed. No message holds a password.
"""

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import unquote, urlsplit

# What samples, tutorials and images come with.
SAMPLE_PASSWORDS = frozenset(
    ["admin", "change-me", "changeme", "example", "ihala", "password", "postgres", "sample", "secret", "test"]
)


class UnreadableAddress(ValueError):
    """An address in which no host can be found."""


def dsn_hosts(dsn: str) -> list[str]:
    """Hosts of a PostgreSQL URL; none where it is a socket of this machine. Raises UnreadableAddress."""
    parts = urlsplit(dsn)
    if parts.scheme not in ("postgresql", "postgres") or "host=" in parts.query:
        raise UnreadableAddress("must be a postgresql:// URL with its hosts before the path")
    return [host_of(each) for each in parts.netloc.rpartition("@")[2].split(",") if each]


def bootstrap_hosts(bootstrap: str) -> list[str]:
    """Hosts of ``host:port,host:port``."""
    return [host_of(each.strip()) for each in bootstrap.split(",")]


def url_hosts(url: str) -> list[str]:
    return [host_of(urlsplit(url).netloc.rpartition("@")[2])]


def host_of(place: str) -> str:
    """``kafka`` of ``kafka:9092``, ``::1`` of ``[::1]:9092``. Raises UnreadableAddress."""
    try:
        host = urlsplit(f"//{place}").hostname
    except ValueError:
        host = None
    if not host:
        raise UnreadableAddress("names no host")
    return host


def has_sample_password(dsn: str) -> bool:
    """Also where the password is the role's own name."""
    credentials, _, _ = urlsplit(dsn).netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return bool(password) and (unquote(password).lower() in SAMPLE_PASSWORDS or password == user)


def strangers(addresses: Mapping[str, Iterable[str]], allowed: Collection[str]) -> list[str]:
    """Each ``name (host)`` that is not allowed. ``.example.ma`` in the list allows every host below it."""
    return [f"{name} ({host})" for name, hosts in addresses.items() for host in hosts if not _is_allowed(host, allowed)]


def _is_allowed(host: str, allowed: Collection[str]) -> bool:
    return host in allowed or any(entry.startswith(".") and host.endswith(entry) for entry in allowed)
