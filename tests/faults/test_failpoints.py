"""A process killed at each step of the way, under load: nothing is lost, nothing acts twice, all heals by itself.

The short version takes the steps between a request and its webhook; `--long` takes every named step, each twice.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.failpoints import arm, reached
from support.fault_checker import judge
from support.fault_load import Load
from support.system import System
from support.waiting import wait_until

RATE = 6.0
BACK_SECONDS = 60.0
TIMES = 2

CONSUMER = ("fetched", "committing", "committed", "offsets")
RELAY = ("read", "produced")
ON_THE_WAY = (
    "intake.submit.committing",
    "intake.submit.committed",
    "intake.submit.answering",
    "intake.relay.produced",
    "referral.router.fetched",
    "referral.router.committed",
    "referral.router.offsets",
    "referral.relay.produced",
    "notification.dispatch.committed",
    "notification.webhook.before",
    "notification.webhook.answered",
    "notification.webhook.recorded",
)
"""Where a request, its referral or its webhook is in one pair of hands, and then in another."""
OWNERS = {
    "intake.addressees": CONSUMER,
    "intake.submit": ("committing", "committed", "answering"),
    "intake.relay": RELAY,
    "referral.router": CONSUMER,
    "referral.receipts": CONSUMER,
    "referral.move": ("committing", "committed", "answering"),
    "referral.relay": RELAY,
    "notification.dispatch": CONSUMER,
    "notification.relay": RELAY,
    "notification.webhook": ("before", "answered", "recorded"),
}


@pytest.mark.timeout(300)
async def test_killed_at_each_step_on_the_way(breakable: System, load: Load, failpoints: Path) -> None:
    await killed_under_load(breakable, load, failpoints, ON_THE_WAY)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("owner", list(OWNERS))
async def test_killed_at_each_step_of(breakable: System, load: Load, failpoints: Path, owner: str) -> None:
    await killed_under_load(breakable, load, failpoints, [f"{owner}.{point}" for point in OWNERS[owner]] * TIMES)


async def killed_under_load(system: System, load: Load, failpoints: Path, points: Sequence[str]) -> None:
    async with load.handing_in(RATE):
        for point in points:
            await kill_at(system, load, failpoints, point)

    verdict = await judge(system, load)

    assert not verdict.findings, str(verdict)


async def kill_at(system: System, load: Load, failpoints: Path, point: str) -> None:
    """Armed, reached, and the process is back."""
    name = f"{point.split('.')[0]}-1"
    before = system.pid_of(name)
    arm(failpoints, point)
    load.history.died(name, await reached(failpoints, point))
    await wait_until(lambda: system.living_pid_of(name) not in (None, before), BACK_SECONDS, f"{name} is back")
