"""Processes that are killed, frozen or stopped at drawn times under load, servers among them; G1-G10 hold by ids."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import pytest
from support.fault_checker import HEAL_SECONDS, judge
from support.fault_kills import kill
from support.fault_load import AGENCIES, Load
from support.system import System
from support.waiting import wait_until

SERVICES = ("intake-1", "referral-1", "notification-1")
SERVERS = ("kafka", "postgres")
RATE = 6.0
SECONDS_A_KILL = 2.0
RATE_OF_KILLS = 2.0  # every service is starting half of the time
DRAINED_SECONDS = 10.0
BACK_SECONDS = 60.0
PATIENT_SECONDS = 75.0  # a call that timed out while its caller stood still is made again after 60 s and a fifth
AWAY = {  # how the server ends, and for how many seconds nobody starts it again
    "kafka": (signal.SIGTERM, 300.0),
    "postgres": (signal.SIGINT, 150.0),
}


async def at_drawn_times(draw: random.Random, count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(draw.uniform(0.3, 1.7) * SECONDS_A_KILL)
        yield number


@pytest.mark.timeout(7200)
async def test_killed_at_random_times(breakable: System, load: Load, seed: int, kills: int) -> None:
    """Every fourth victim is a server, as far as servers die more seldom than services; only who is alive counts."""
    draw = random.Random(seed)
    landed: Counter[str] = Counter()
    async with load.handing_in(RATE_OF_KILLS):
        async for number in at_drawn_times(draw, kills):
            victims = SERVERS if number % 4 == 3 else SERVICES
            landed[await killed_one(breakable, load, draw, victims)] += 1

    verdict = await judge(breakable, load)

    print(f"\nkilled: {dict(landed)}")  # noqa: T201
    assert not verdict.findings, f"seed {seed}\n{verdict}"
    assert landed.total() == kills


async def killed_one(system: System, load: Load, draw: random.Random, victims: Sequence[str]) -> str:
    """Which of them; waits for one that lives."""
    order = draw.sample(victims, len(victims))

    def hit() -> str | None:
        return next((name for name in order if kill(system, load.history, name)), None)

    return await wait_until(hit, BACK_SECONDS, f"one of {victims} lives") or ""


@pytest.mark.timeout(300)
async def test_stopped_in_peace_it_is_drained_within_ten_seconds_and_nothing_comes_twice(
    breakable: System, load: Load
) -> None:
    """SIGTERM under load: a rolling restart of every service, one after another."""
    loaded = asyncio.create_task(load.run(RATE, 24.0))
    for name in SERVICES:
        await asyncio.sleep(2)
        await restart_in_peace(breakable, name)
    await loaded

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


async def restart_in_peace(system: System, name: str) -> None:
    before = system.pid_of(name)
    system.signal(name, signal.SIGTERM)
    await wait_until(lambda: not alive(before), DRAINED_SECONDS, f"{name} has drained")
    await wait_until(lambda: system.living_pid_of(name), 30, f"{name} is back")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*SERVICES, *SERVERS])
async def test_frozen_past_every_session_and_woken_again(breakable: System, load: Load, name: str) -> None:
    """A pause as of a virtual machine: sessions, leases and locks have passed to others when it goes on."""
    loaded = asyncio.create_task(load.run(RATE, 40.0))
    await asyncio.sleep(3)
    with frozen(breakable, load, name):
        await asyncio.sleep(30)
    await loaded

    verdict = await judge(breakable, load, within_seconds=HEAL_SECONDS + PATIENT_SECONDS)

    assert not verdict.findings, str(verdict)


@contextmanager
def frozen(system: System, load: Load, name: str) -> Iterator[None]:
    """What it had in hand when it stood still, and what it then sends at the end of its deadline, may come again."""
    with load.history.fault(of_database=name == "postgres"):
        load.history.died(name, time.time())
        system.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            load.history.died(name, time.time())
            system.signal(name, signal.SIGCONT)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_killed_as_often_as_it_starts(breakable: System, load: Load, name: str) -> None:
    loaded = asyncio.create_task(load.run(3.0, 20.0))
    await asyncio.sleep(5)
    landed, deadline = 0, asyncio.get_running_loop().time() + 60
    while asyncio.get_running_loop().time() < deadline:
        landed += kill(breakable, load.history, name)
        await asyncio.sleep(0.2)
    await loaded

    verdict = await judge(breakable, load)

    print(f"\nkilled {landed} times")  # noqa: T201
    assert not verdict.findings, str(verdict)
    assert landed > 10


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_that_is_away_for_minutes(breakable: System, load: Load, name: str) -> None:
    """Without Kafka the desks go on; without the database they are told to come again, and are not forgotten."""
    how, seconds = AWAY[name]
    loaded = asyncio.create_task(load.run(3.0, 20.0))
    await asyncio.sleep(5)
    with load.history.fault(of_database=name == "postgres"):
        async with away(breakable, name, how):
            await asyncio.sleep(seconds)
            if name == "kafka":
                assert all(each.answer for each in load.history.handed_in), "a desk waits for Kafka"
    await loaded

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


@asynccontextmanager
async def away(system: System, name: str, how: signal.Signals) -> AsyncIterator[None]:
    """Nobody starts it again before the block ends."""
    system.signal("up", signal.SIGSTOP)
    try:
        system.signal(name, how)
        yield
    finally:
        system.signal("up", signal.SIGCONT)


@pytest.mark.timeout(240)
async def test_an_agency_that_is_down_or_slow_delays_nobody_else(breakable: System, load: Load) -> None:
    """G9: nothing waits behind one that does not answer; what waited arrives when it does."""
    load.down.add(AGENCIES[0])
    load.slow_seconds[AGENCIES[1]] = 3.0
    already = len(load.history.webhooks)
    await load.run(RATE, 3.0)  # the first retry comes after 5 s, the next after minutes

    def others_are_told() -> bool:
        told = {hook.partner_id for hook in load.history.webhooks[already:]}
        return told >= set(AGENCIES[2:])

    with load.history.fault():
        await wait_until(others_are_told, 10)
    load.down.clear()
    load.slow_seconds.clear()

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)
