"""The services' clock jumps a day ahead under load: deadlines are answered, and nothing is lost or told twice."""

import asyncio
from collections.abc import Iterator

import pytest
from support.fault_checker import judge
from support.fault_load import load_on
from support.system import System, running

RATE = 4.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


@pytest.fixture
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("clocked"), "--test-clock", "2026-11-23T08:30:00Z") as system:
        yield system


async def test_a_day_ahead_and_another(clocked: System, seed: int) -> None:
    async with load_on(clocked, seed) as load:
        loaded = asyncio.create_task(load.run(RATE, 20.0))
        for _ in range(2):
            await asyncio.sleep(6)
            await asyncio.to_thread(clocked.ihala, "clock", "advance", "1d")
        await loaded

        verdict = await judge(clocked, load)

    assert not verdict.findings, str(verdict)
