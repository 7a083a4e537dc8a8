"""Descriptors and connections run out for a while: whoever cannot be served is told so, and all heals by itself."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
import psutil
import pytest
from support.databases import dsn_of
from support.fault_checker import judge
from support.fault_load import Load
from support.system import System

RATE = 4.0
SHORT_SECONDS = 12.0
FEWER_THAN_OPEN = 10
DATABASES = ("intake", "referral", "notification")

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.mark.parametrize("service", DATABASES)
async def test_no_descriptor_is_left(breakable: System, load: Load, service: str) -> None:
    """What is open stays open; nothing can be opened, accepted or connected."""
    process = psutil.Process(breakable.pid_of(f"{service}-1"))
    usual, most = process.rlimit(resource.RLIMIT_NOFILE)
    loaded = asyncio.create_task(load.run(RATE, SHORT_SECONDS + 8))
    await asyncio.sleep(3)
    with load.history.fault(of_database=True):
        process.rlimit(resource.RLIMIT_NOFILE, (FEWER_THAN_OPEN, most))
        await asyncio.sleep(SHORT_SECONDS)
        process.rlimit(resource.RLIMIT_NOFILE, (usual, most))
    await loaded

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


async def test_no_connection_to_the_database_is_left(breakable: System, load: Load) -> None:
    """Strangers take every place, and the services lose theirs."""
    loaded = asyncio.create_task(load.run(RATE, SHORT_SECONDS + 8))
    await asyncio.sleep(3)
    with load.history.fault(of_database=True):
        async with crowded(breakable):
            await asyncio.sleep(SHORT_SECONDS)
    await loaded

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


@asynccontextmanager
async def crowded(system: System) -> AsyncIterator[None]:
    async with AsyncExitStack() as strangers:
        first = [await a_stranger(system, database, strangers) for database in DATABASES]
        crowding = asyncio.create_task(take_every_place(system, strangers))
        for _ in range(3):
            await asyncio.sleep(0.5)
            for stranger in first:
                await stranger.execute(_EVERYBODY_ELSE_OUT)
        try:
            yield
        finally:
            crowding.cancel()
            with suppress(asyncio.CancelledError):
                await crowding


async def take_every_place(system: System, strangers: AsyncExitStack) -> None:
    while True:
        try:
            await a_stranger(system, DATABASES[0], strangers)
        except asyncpg.TooManyConnectionsError:
            await asyncio.sleep(0.02)


async def a_stranger(system: System, database: str, strangers: AsyncExitStack) -> asyncpg.Connection:
    connection = await asyncpg.connect(dsn_of(system, database), server_settings={"application_name": "stranger"})
    strangers.push_async_callback(connection.close)
    return connection


_EVERYBODY_ELSE_OUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = current_user AND application_name <> 'stranger' AND backend_type = 'client backend'
"""
