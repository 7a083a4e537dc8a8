"""The fake and PostgreSQL behind the same name."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import ihala_referral
import pytest
import pytest_asyncio
from ihala_runtime.clock import ManualClock
from ihala_runtime.migrate import RUNTIME_MIGRATIONS, migrate
from ihala_runtime.postgres import Database
from support.referral_units import FakeStore, PostgresStore, Store, enter_sample_directory
from support.referral_world import at

MIGRATIONS = Path(ihala_referral.__file__).parent / "migrations"


@pytest_asyncio.fixture(params=["fake", "postgres"])
async def store(request: pytest.FixtureRequest, new_database: Callable[[], Awaitable[str]]) -> AsyncIterator[Store]:
    clock = ManualClock(at("2026-11-16 10:15"))
    if request.param == "fake":
        yield FakeStore(clock)
        return
    database = Database(await new_database(), "test")
    connection = await database.dedicated()
    await migrate(connection, [RUNTIME_MIGRATIONS, MIGRATIONS])
    await connection.close()
    await database.connect()
    await enter_sample_directory(database)
    yield PostgresStore(database, clock)
    await database.close()
