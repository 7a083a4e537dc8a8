"""Free ports, chosen once and kept: a state comes back on the addresses it had, if they are still free.

Rule: ports lie below the range that systems give to outgoing connections (from 32768 on Linux), so that no
connection can take a port between our choice and the server's own bind.
"""

import random
import socket
from collections.abc import Callable, Iterable, Mapping

from ihala_local.failures import LocalFailure

LOOPBACK = "127.0.0.1"
RANGE = range(20_000, 32_000)
TRIES = 500


class NoFreePort(LocalFailure):
    """Not one of many tried ports was free."""


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT serves us
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(
    names: Iterable[str], kept: Mapping[str, int], free: Callable[[int], bool] = is_free
) -> dict[str, int]:
    """A distinct free port for each name; the kept one wherever it is still free."""
    chosen: dict[str, int] = {}
    for name in names:
        earlier = kept.get(name)
        reusable = earlier is not None and earlier not in chosen.values() and free(earlier)
        chosen[name] = earlier if earlier is not None and reusable else new_port(set(chosen.values()), free)
    return chosen


def new_port(taken: set[int], free: Callable[[int], bool] = is_free) -> int:
    for _ in range(TRIES):
        port = random.choice(RANGE)  # noqa: S311 (no secret)
        if port not in taken and free(port):
            return port
    raise NoFreePort(f"no free port found between {RANGE.start} and {RANGE.stop}")
