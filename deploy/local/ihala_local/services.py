"""The calls that every service answers alike, asked of all of them; an id tells whose it is: `referral:17`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from ihala_local.api import Api, calling
from ihala_local.failures import LocalFailure
from ihala_local.stack import SERVICES

T = TypeVar("T")


class UnknownService(LocalFailure):
    """An id or a group names no service."""


async def of_each(endpoints: Mapping[str, Any], role: str, ask: Callable[[str, Api], Awaitable[T]]) -> dict[str, T]:
    """What each service answers, called with the key of that role."""
    key = endpoints["credentials"][role]
    async with AsyncExitStack() as open_calls:
        apis = [await open_calls.enter_async_context(calling(endpoints, name, key)) for name in SERVICES]
        answers = await asyncio.gather(*(ask(name, api) for name, api in zip(SERVICES, apis, strict=True)))
    return dict(zip(SERVICES, answers, strict=True))


def service_of(name: str, separator: str) -> tuple[str, str]:
    """(service, rest) of `referral:17` or `referral.router`. Raises UnknownService."""
    service, found, rest = name.partition(separator)
    if service not in SERVICES or not found or not rest:
        raise UnknownService(f"{name}: it begins with {', '.join(SERVICES)} and {separator}")
    return service, rest
