"""Catching up: a service is frozen, referrals are accepted meanwhile, and it runs again while more come in.

Rule: the load is one schedule that lasts until it is level, so the intakes that come during the catch-up are measured
like all others; the time runs from the instant the service may run again, and nothing is left out of it.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.extent import Extent
from benchmarks.load import Load, LoadResult, Progress, RunningLoad, Step, StepResult, loading
from benchmarks.report import Report, table
from benchmarks.systems import Ihala, ihala

FILL_RATE, MEANWHILE_RATE = 250.0, 50.0
BEFORE_SECONDS = 10.0
LEAST_MEANWHILE_SECONDS = 10.0  # else its p99 would be one of a few requests
SLOWEST_RATE = 20.0  # a service that catches up no faster is not waited for
LOOK_SECONDS = 0.1
SCHEDULE_BEGINS = 0.4  # seconds after the generator, with what it takes it to say so
INCLUDED = (
    "The time runs from SIGCONT until no more wait than come in within a quarter of a second. It holds all that a "
    "service does after such a rest: waking, a rejoined consumer group where the rest was longer than its session, "
    "the first fetches, the backlog and what came in meanwhile, with routing, telling, PostgreSQL, Kafka, the "
    "generator and its intakes on the same cores. A referral counts as routed when its row is committed (the events "
    "may still be in the outbox), as told when its webhook came."
)


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Of one service and a backlog: referrals handled until nothing waited; its load's steps before and meanwhile."""

    service: str
    backlog: int
    waiting: int
    handled: int
    seconds: float
    before: StepResult
    meanwhile: StepResult
    void: str

    @property
    def per_second(self) -> float:
        return self.handled / self.seconds

    @property
    def intake_p99s(self) -> tuple[float, float]:
        """Before and meanwhile, ms."""
        return self.before.ms("due_to_accepted", "p99"), self.meanwhile.ms("due_to_accepted", "p99")


async def catch_up(system: Ihala, service: str, count: int, folder: Path) -> CatchUp:
    """service: referral or notification."""
    most_seconds = 120 + count / SLOWEST_RATE
    steps = [
        Step("before", MEANWHILE_RATE, BEFORE_SECONDS),
        Step("fill", FILL_RATE, count / FILL_RATE),
        Step("meanwhile", MEANWHILE_RATE, most_seconds),
    ]
    pid = system.processes()[f"{service}-1"]
    async with (
        done_by(system, service) as done,
        asyncio.timeout(most_seconds + 2 * count / FILL_RATE),
        loading(system, Load(steps, drain_seconds=most_seconds), folder) as load,
    ):
        await until(load, lambda: _is(load.now.seconds >= BEFORE_SECONDS))
        try:
            os.kill(pid, signal.SIGSTOP)
            await until(load, lambda: _is(is_filled(load.now, count)))
            at_start = await done(load)
            waiting = load.now.accepted - at_start
        finally:
            os.kill(pid, signal.SIGCONT)
        seconds, at_end = await caught_up(load, done)
        await asyncio.sleep(LEAST_MEANWHILE_SECONDS - seconds)
        load.enough()
        result = await load.result()
    return CatchUp(
        service, count, waiting, at_end - at_start, seconds, result.step("before"), result.step("meanwhile"),
        void_of(result),
    )  # fmt: skip


def is_filled(now: Progress, count: int) -> bool:
    """All of the backlog was sent, and is accepted but for what a second of the rest may be."""
    sent = now.seconds >= SCHEDULE_BEGINS + BEFORE_SECONDS + count / FILL_RATE
    return sent and now.sent - now.accepted <= MEANWHILE_RATE


Done = Callable[[RunningLoad], Awaitable[int]]


@asynccontextmanager
async def done_by(system: Ihala, service: str) -> AsyncIterator[Done]:
    """How many of a load's referrals the service has handled."""
    database = await asyncpg.connect(system.superuser_dsn, database="referral")
    already = int(await database.fetchval("SELECT count(*) FROM referral"))

    async def routed(_load: RunningLoad) -> int:
        return int(await database.fetchval("SELECT count(*) FROM referral")) - already

    async def told(load: RunningLoad) -> int:
        return load.now.told

    try:
        yield routed if service == "referral" else told
    finally:
        await database.close()


async def _is(value: bool) -> bool:
    return value


async def caught_up(load: RunningLoad, done: Done) -> tuple[float, int]:
    """(seconds, referrals done by then) until no more wait than come in within a quarter of a second."""
    began, at_end = time.monotonic(), 0

    async def level() -> bool:
        nonlocal at_end
        at_end = await done(load)
        return bool(load.now.accepted - at_end <= MEANWHILE_RATE / 4)

    await until(load, level)
    return time.monotonic() - began, at_end


async def until(load: RunningLoad, ready: Callable[[], Awaitable[bool]]) -> None:
    while not await ready():
        if load.process.returncode is not None:
            raise RuntimeError("the load ended before it was caught up")
        await asyncio.sleep(LOOK_SECONDS)


def void_of(result: LoadResult) -> str:
    """How late the fill was sent is no matter, what it lost is."""
    fill = result.step("fill")
    reasons = {each.name: each.void for each in result.steps if each is not fill or each.lost}
    return "; ".join(f"{name}: {void}" for name, void in reasons.items() if void)


async def backlog_part(report: Report, extent: Extent, folder: Path) -> None:
    found = []
    async with ihala(folder / "system") as system:
        for count in extent.backlog:
            for service in ("referral", "notification"):
                found.append(await catch_up(system, service, count, folder / f"{service}-{count}"))
                print(f"ihala  {service} catches up at {found[-1].per_second:.0f}/s", flush=True)
    for each in found:
        report.found(f"catch_up.{each.service}", each.per_second, each.void)  # the largest backlog comes last
        for result in (each.before, each.meanwhile):
            report.note(f"catch-up of {each.service} from {each.backlog}, {result.name}", result)
    worst = max(found, key=lambda each: each.intake_p99s[1] / each.intake_p99s[0])
    before, meanwhile = worst.intake_p99s
    report.found("catch_up.intake_p99_ratio", meanwhile / before, worst.void)
    names = ["service", "waiting", "handled", "seconds", "a second", "intake p99 before, ms", "and meanwhile", "void"]
    heading = f"Catching up while {MEANWHILE_RATE:g}/s come in"
    report.add(heading, table(names, [row_of(each) for each in found]), INCLUDED)


def row_of(found: CatchUp) -> list[str]:
    counts = (found.waiting, found.handled)
    times = [f"{each:.0f}" for each in (found.per_second, *found.intake_p99s)]
    return [found.service, *map(str, counts), f"{found.seconds:.1f}", *times, found.void]
