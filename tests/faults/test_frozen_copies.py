"""A copy of a service stands still in the midst of its work: the other takes over, and the sleeper does no harm.

Two copies of each service. Whoever freezes keeps its connections, locks and place in its group until others notice;
woken, it goes on where it was, and what it still had in hand is somebody else's by then.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from ihala_runtime.failpoints import FOLDER_VARIABLE
from support.databases import asked
from support.failpoints import frozen_at
from support.fault_checker import judge
from support.fault_load import Load, load_on
from support.system import System, running
from support.waiting import wait_until

RATE = 4.0
TAKEN_OVER_SECONDS = 120.0
POINTS = (
    "intake.submit.committing",
    "referral.router.committing",
    "referral.relay.produced",
    "notification.dispatch.committed",
    "notification.webhook.answered",
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("points")


@pytest.fixture(scope="module")
def doubled(points: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    copies = ("--copies", "intake=2", "--copies", "referral=2", "--copies", "notification=2")
    with running(tmp_path_factory.mktemp("doubled"), *copies, environment={FOLDER_VARIABLE: str(points)}) as system:
        yield system


@pytest.fixture(scope="module")
async def doubled_load(doubled: System, seed: int) -> AsyncIterator[Load]:
    async with load_on(doubled, seed) as given:
        yield given


@pytest.mark.parametrize("point", POINTS)
async def test_the_other_copy_takes_over_and_the_sleeper_does_no_harm(
    doubled: System, doubled_load: Load, points: Path, point: str
) -> None:
    loaded = asyncio.create_task(doubled_load.run(RATE, 15.0))
    at = await frozen_at(points, point)
    doubled_load.history.died(point.split(".")[0], at)  # for the other copy, to which its leases pass
    try:
        await loaded
        await wait_until(lambda: nothing_waits(doubled, doubled_load), TAKEN_OVER_SECONDS, f"{point}: taken over")
    finally:
        doubled_load.history.died(point.split(".")[0], time.time())  # what it still sends then is at its deadline's end
        wake(doubled)

    verdict = await judge(doubled, doubled_load)

    assert not verdict.findings, f"{point}\n{verdict}"


async def nothing_waits(system: System, load: Load) -> bool:
    """Every accepted intake has come to its end, by what is stored."""
    ended = await asked(system, "referral", "SELECT FROM referral WHERE state IN ('closed', 'withdrawn')")
    waiting = await asked(system, "notification", "SELECT FROM delivery WHERE state = 'pending'")
    return len(ended) == len(load.history.accepted) and not waiting


def wake(system: System) -> None:
    for process in system.processes():
        if process.status() == psutil.STATUS_STOPPED:
            process.send_signal(signal.SIGCONT)
