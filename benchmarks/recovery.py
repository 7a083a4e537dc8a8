"""How soon it serves again after a kill -9 of a service, of the broker or of the database; and what it takes up idle.

Rule: what counts as flowing was sent after the kill and told, with all that was accepted before it, so that no part of
the answer is older than the question.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import aiohttp
from ihala_local import kafka, postgres

from benchmarks.extent import Extent
from benchmarks.load import Load, Progress, Step, StepResult, Told, journal_of, loading
from benchmarks.report import Report, table
from benchmarks.systems import Ihala, ihala, rss_mb

SERVICES = ("intake-1", "referral-1", "notification-1")
SERVERS = ("kafka", "postgres")
RATE = 20.0
BEFORE_SECONDS, MOST_SECONDS = 5.0, 180.0
AFTER_SECONDS = 5.0  # the load goes on so long after it was ready, and until it is level
LOOK_SECONDS = 0.05

Ready = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds after a kill -9.

    ready: the new process answers (a service: that it is ready).  first: the first 201 to an intake sent after the
    kill.  flowing: the first of those was told, and all that was accepted before it.  level: from then on for the first
    time nothing waited.
    """

    name: str
    ready: float
    first: float
    flowing: float
    level: float
    steps: Sequence[StepResult]

    @property
    def void(self) -> str:
        """Requests that were under way may fail and some may be told twice; what was accepted may not be lost."""
        lost = sum(each.lost for each in self.steps)
        return f"{lost} lost" if lost else ""


async def killed(system: Ihala, name: str, folder: Path) -> Recovery:
    """Under a steady load, which lasts until all is as before."""
    steps = [Step("before", RATE, BEFORE_SECONDS), Step("after", RATE, MOST_SECONDS)]
    async with loading(system, Load(steps, journal=True), folder) as load:
        while load.now.sent < RATE * BEFORE_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
        os.kill(system.processes()[name], signal.SIGKILL)
        at, accepted = time.time(), load.now.accepted
        await until_ready(readiness_of(system, name))
        ready = time.time() - at
        await asyncio.sleep(AFTER_SECONDS)
        while load.process.returncode is None and not is_level(load.now, accepted):
            await asyncio.sleep(LOOK_SECONDS)
        load.enough()
        result = await load.result()
    return Recovery(name, ready, *after_kill(journal_of(folder), at), result.steps)


def is_level(now: Progress, accepted: int) -> bool:
    """accepted: when it was killed."""
    return now.accepted > accepted + RATE and now.in_hand <= 1


def after_kill(journal: Sequence[Told], at: float) -> tuple[float, float, float]:
    """(first, flowing, level) of `Recovery`; infinite: never. at: the kill."""
    accepted = sorted((each.accepted, each.started, each.told or float("inf")) for each in journal if each.accepted)
    all_told = list(accumulate((told for _, _, told in accepted), max))  # up to each of them
    fresh = next((number for number, (_, started, _) in enumerate(accepted) if started > at), None)
    if fresh is None:
        return (float("inf"),) * 3
    following = [instant for instant, _, _ in accepted[1:]] + [float("inf")]
    flowing = all_told[fresh]
    level = next(told for told, more in zip(all_told[fresh:], following[fresh:], strict=True) if told <= more)
    return accepted[fresh][0] - at, flowing - at, level - at


def readiness_of(system: Ihala, name: str) -> Ready:
    match name:
        case "kafka":
            return lambda: kafka.answers(system.endpoints["kafka"])
        case "postgres":
            return lambda: postgres.answers(system.superuser_dsn)
        case _:
            return lambda: is_ready(f"{system.endpoints[name.removesuffix('-1')]}/ready")


async def is_ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False


async def until_ready(ready: Ready) -> None:
    async with asyncio.timeout(MOST_SECONDS):
        while not await ready():
            await asyncio.sleep(LOOK_SECONDS)


def memory(system: Ihala) -> float:
    """MB of the three services together."""
    pids = system.processes()
    return sum(rss_mb({name: pids[name] for name in SERVICES}).values())


async def recovery_part(report: Report, _extent: Extent, folder: Path) -> None:
    found = []
    async with ihala(folder / "system") as system:
        for name in (*SERVICES, *SERVERS):
            found.append(await killed(system, name, folder / name))
            print(f"ihala  {name} killed: ready {found[-1].ready:.1f} s, flowing {found[-1].flowing:.1f} s", flush=True)
    for each in found:
        for step in each.steps:
            report.note_with_faults(f"kill -9 of {each.name}, {step.name}", step)
    services = [each for each in found if each.name in SERVICES]
    void = next((each.void for each in services if each.void), "")
    report.found("recovery.ready", max(each.ready for each in services), void)
    report.found("recovery.flowing", max(each.flowing for each in services), void)
    for each in found:
        if each.name in SERVERS:
            report.found(f"recovery.{each.name}_level", each.level - each.ready, each.void)
    names = ["killed", "ready, s", "first 201, s", "flowing, s", "nothing waits, s", "of that after ready, s", "void"]
    report.add(f"After a kill -9, at {RATE:g}/s", table(names, [row_of(each) for each in found]), READ)


READ = (
    "All from the kill. Ready: the new process answers, of a service that it is ready. First 201: to an intake that "
    "was sent after the kill. Flowing: that intake was told, and everything accepted before it. Nothing waits: from "
    "then on for the first time nothing accepted was untold."
)


def row_of(found: Recovery) -> list[str]:
    times = (found.ready, found.first, found.flowing, found.level, max(0.0, found.level - found.ready))
    return [found.name, *(f"{each:.1f}" for each in times), found.void]
