"""Catching up: a service is frozen, referrals are accepted meanwhile, and it runs again while more come in.

Rule: the load is one schedule, so the intakes that come during the catch-up are measured like all others.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.load import Load, LoadResult, RunningLoad, Step, loading
from benchmarks.systems import Ihala

FILL_RATE, MEANWHILE_RATE = 250.0, 50.0
LOOK_SECONDS = 0.1
MOST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Of one service: events a second until nothing waited, and intake's p99 before and meanwhile in ms."""

    service: str
    events: int
    seconds: float
    intake_p99_before: float
    intake_p99_meanwhile: float
    void: str

    @property
    def per_second(self) -> float:
        return self.events / self.seconds


async def catch_up(system: Ihala, service: str, count: int, folder: Path) -> CatchUp:
    """service: referral or notification."""
    steps = [
        Step("before", MEANWHILE_RATE, 10),
        Step("fill", FILL_RATE, count / FILL_RATE),
        Step("meanwhile", MEANWHILE_RATE, max(10.0, count / 2000)),
    ]
    pid = system.processes()[f"{service}-1"]
    database = await asyncpg.connect(system.superuser_dsn, database="referral")
    already = await database.fetchval("SELECT count(*) FROM referral")
    try:
        async with loading(system, Load(steps, drain_seconds=MOST_SECONDS), folder) as load:
            await until(load, lambda: _is(load.now.accepted >= MEANWHILE_RATE * 10))
            os.kill(pid, signal.SIGSTOP)
            await until(load, lambda: _is(load.now.accepted >= count))
            done = _routed(database, already) if service == "referral" else _told
            waiting = load.now.accepted - await done(load)
            os.kill(pid, signal.SIGCONT)
            seconds, handled = await caught_up(load, done)
            result = await load.result()
    finally:
        os.kill(pid, signal.SIGCONT)
        await database.close()
    return summed_up(service, waiting + handled, seconds, result)


Done = Callable[[RunningLoad], Awaitable[int]]


def _routed(database: asyncpg.Connection, already: int) -> Done:
    async def routed(_load: RunningLoad) -> int:
        return int(await database.fetchval("SELECT count(*) FROM referral")) - already

    return routed


async def _told(load: RunningLoad) -> int:
    return load.now.told


async def _is(value: bool) -> bool:
    return value


async def caught_up(load: RunningLoad, done: Done) -> tuple[float, int]:
    """(seconds, referrals accepted meanwhile) until no more wait than come in within a quarter of a second."""
    began, accepted = time.monotonic(), load.now.accepted

    async def level() -> bool:
        return load.now.accepted - await done(load) <= MEANWHILE_RATE / 4

    await until(load, level)
    return time.monotonic() - began, load.now.accepted - accepted


async def until(load: RunningLoad, ready: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(MOST_SECONDS):
        while not await ready():
            if load.process.returncode is not None:
                raise RuntimeError("the load ended before it was caught up")
            await asyncio.sleep(LOOK_SECONDS)


def summed_up(service: str, events: int, seconds: float, result: LoadResult) -> CatchUp:
    before, meanwhile = (result.step(each).ms("due_to_accepted", "p99") for each in ("before", "meanwhile"))
    void = ", ".join(each.void for each in result.steps if each.void)
    return CatchUp(service, events, seconds, before, meanwhile, void)
