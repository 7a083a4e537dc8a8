"""How much memory a process takes while something is done to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil


@asynccontextmanager
async def watched(process: psutil.Process) -> AsyncIterator[list[int]]:
    """The memory it had, every fifth of a second."""
    rss = [process.memory_info().rss]

    async def watch() -> None:
        while True:
            rss.append(process.memory_info().rss)
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    try:
        yield rss
    finally:
        watching.cancel()
