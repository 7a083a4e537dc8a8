"""The fake and PostgreSQL behind the same name."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from ihala_runtime.clock import ManualClock
from support.referral_units import FakeStore, Store, a_postgres_store
from support.referral_world import at


@pytest_asyncio.fixture(params=["fake", "postgres"])
async def store(request: pytest.FixtureRequest, new_database: Callable[[], Awaitable[str]]) -> AsyncIterator[Store]:
    clock = ManualClock(at("2026-11-16 10:15"))
    if request.param == "fake":
        yield FakeStore(clock)
        return
    async with a_postgres_store(await new_database()) as store:
        yield store
