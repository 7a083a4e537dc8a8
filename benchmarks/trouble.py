"""How soon what went wrong is over: an event that was lost on its way to Kafka, and a flood of records nobody can read.

Rule: nothing helps but what the system does by itself; the end is a webhook that came.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaProducer
from ihala_events.topics import INTAKE_CASE

from benchmarks.costs import Desk, a_desk, until
from benchmarks.extent import Extent
from benchmarks.report import Report, table
from benchmarks.systems import Ihala, ihala

POISON = 10_000
UNREADABLE = b"\xff\x00 no event"
LOSE = """
    CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER lose BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.again IS NULL) EXECUTE FUNCTION lose()
"""
LOSE_NO_MORE = "DROP TRIGGER lose ON outbox; DROP FUNCTION lose()"
DEAD = "SELECT count(DISTINCT (partition, \"offset\")) FROM parked WHERE topic = $1 AND state = 'dead'"


@asynccontextmanager
async def connected(system: Ihala, database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(system.superuser_dsn, database=database)
    try:
        yield connection
    finally:
        await connection.close()


async def seconds_until_a_lost_case_is_told(system: Ihala, desk: Desk) -> float:
    """Its row of the outbox is taken away in the transaction that writes it."""
    async with connected(system, "intake") as intake:
        await intake.execute(LOSE)
        try:
            case_ref = await desk.hand_in()
        finally:
            await intake.execute(LOSE_NO_MORE)
    began = time.monotonic()
    await until(partial(desk.has_heard_of, {case_ref}), "the webhook of a lost case")
    return time.monotonic() - began


async def seconds_until_poison_has_passed(system: Ihala, desk: Desk) -> float:
    """From the first of them until all are dead and an intake that was handed in after them is told."""
    async with connected(system, "referral") as referral:

        async def all_dead() -> bool:
            return bool(await referral.fetchval(DEAD, INTAKE_CASE.name) == POISON)

        began = time.monotonic()
        await send_poison(system.endpoints["kafka"])
        case_ref = await desk.hand_in()
        await until(all_dead, "all poison dead")
        await until(partial(desk.has_heard_of, {case_ref}), "an intake behind poison")
        return time.monotonic() - began


async def send_poison(bootstrap: str) -> None:
    """As many on each partition."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        partitions = INTAKE_CASE.partitions
        sends = [
            await producer.send(INTAKE_CASE.name, UNREADABLE, key=b"poison", partition=number % partitions)
            for number in range(POISON)
        ]
        await asyncio.gather(*sends)
    finally:
        await producer.stop()


async def trouble_part(report: Report, _extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system, a_desk(system) as desk:
        await until(partial(desk.has_heard_of, {await desk.hand_in()}), "the first webhook")
        lost = await seconds_until_a_lost_case_is_told(system, desk)
        poison = await seconds_until_poison_has_passed(system, desk)
    report.found("trouble.lost_case", lost)
    report.found("trouble.poison", poison)
    rows = [
        ["an event lost before Kafka, until it was found, sent again, routed and told", f"{lost:.1f}"],
        [f"{POISON:,} records nobody can read, until all are dead and an intake behind them is told", f"{poison:.1f}"],
    ]
    report.add("Trouble that passes by itself", table(["", "seconds"], rows))
