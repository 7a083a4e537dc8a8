"""Waiting for something to become true, with a deadline. Tests wait with this and never with a bare sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.02


@overload
async def wait_until(
    predicate: Callable[[], Awaitable[T]], within_seconds: float = 30.0, what: str | None = None
) -> T: ...


@overload
async def wait_until(predicate: Callable[[], T], within_seconds: float = 30.0, what: str | None = None) -> T: ...


async def wait_until(
    predicate: Callable[[], T | Awaitable[T]], within_seconds: float = 30.0, what: str | None = None
) -> T:
    """The predicate's first true answer; AssertionError, naming what was awaited, when none came in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = predicate()
        result: T = await answer if inspect.isawaitable(answer) else answer
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_seconds} s: {what or described(predicate)}; last: {result!r}")
        await asyncio.sleep(POLL_SECONDS)


def described(predicate: Callable[[], object]) -> str:
    try:
        return " ".join(inspect.getsource(predicate).split())
    except (OSError, TypeError):
        return repr(predicate)
