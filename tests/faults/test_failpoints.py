"""A process killed at each step of the way, under load: nothing is lost, nothing acts twice, all heals by itself.

The short version takes the steps where most could be lost or doubled; `--long` takes all of them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support.failpoints import arm, reached
from support.fault_checker import IN_FLIGHT, judge
from support.fault_load import Load
from support.system import System
from support.waiting import wait_until

RATE = 6.0
SECONDS_A_KILL = 5.0

CONSUMER = ("consume.fetched", "commit.before", "commit.after", "consume.committed", "offsets.before")
RELAY = ("relay.read", "relay.produced")
ALL_STEPS = {
    "intake": (*CONSUMER, *RELAY, "http.answer"),
    "referral": (*CONSUMER, *RELAY, "http.answer"),
    "notification": (*CONSUMER, *RELAY, "webhook.before", "webhook.answered", "webhook.recorded"),
}
SOME_STEPS = {
    "intake": ("commit.after", "relay.produced"),
    "referral": ("commit.before", "consume.committed", "relay.produced"),
    "notification": ("consume.committed", "webhook.answered"),
}


@pytest.mark.timeout(300)
async def test_killed_where_most_could_be_lost(breakable: System, load: Load, failpoints: Path) -> None:
    await killed_under_load(breakable, load, failpoints, SOME_STEPS)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", list(ALL_STEPS))
async def test_killed_at_each_step(breakable: System, load: Load, failpoints: Path, service: str) -> None:
    await killed_under_load(breakable, load, failpoints, {service: ALL_STEPS[service]})


async def killed_under_load(system: System, load: Load, failpoints: Path, steps: Mapping[str, Sequence[str]]) -> None:
    count = sum(map(len, steps.values()))
    loaded = asyncio.create_task(load.run(RATE, SECONDS_A_KILL * count))
    for service, points in steps.items():
        for point in points:
            await kill_at(system, failpoints, f"{service}.{point}")
    await loaded

    verdict = await judge(system, load, repeats_at_most=IN_FLIGHT * count)

    assert not verdict.findings, str(verdict)


async def kill_at(system: System, failpoints: Path, point: str) -> None:
    """Armed, reached, and the process is back."""
    name = f"{point.split('.')[0]}-1"
    before = system.pid_of(name)
    arm(failpoints, point)
    await reached(failpoints, point)
    await wait_until(lambda: system.living_pid_of(name) not in (None, before), 60, f"{name} is back")
