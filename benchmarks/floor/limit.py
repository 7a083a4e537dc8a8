"""What the machine's durable store and log do by themselves: batches of rows into PostgreSQL, beside records through
Kafka, of the size that a referral has there.

Rule: both at once, each in a process of its own. One write and one hop, where a referral has three of each: whatever
does the whole job stays far below.

    python -m benchmarks.floor.limit write|hop COUNT    (KAFKA, DSN in the environment); prints the seconds it took
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from uuid import uuid4

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from ihala_events.topics import Topic
from ihala_local.checkout import CHECKOUT
from ihala_local.embedded import embedded_kafka, embedded_postgres
from ihala_local.postgres import create_databases, dsn_of
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.topics import make_topics

from benchmarks.floor.pipeline import KAFKA, KEEP, a_pool, a_producer

COUNT = 20_000
BATCH = 100
RECORD = "x" * 1_900  # bytes of each of the three events of a referral (costs.toml)
TOPIC = Topic("limit", "id")
PASSWORD = "of-the-bench-alone"


async def write(count: int) -> None:
    """Rows with their outbox rows, one statement and one commit a batch."""
    pool = await a_pool()
    for _ in range(count // BATCH):
        ids = [uuid4().hex for _ in range(BATCH)]
        await pool.execute(KEEP, ids, [RECORD] * BATCH)


async def hop(count: int) -> None:
    """Produced, each acknowledged when it is on disk, and consumed."""
    producer = await a_producer()
    consumer = AIOKafkaConsumer(
        TOPIC.name, bootstrap_servers=KAFKA, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    await asyncio.gather(produce(producer, count), consume(consumer, count))
    await consumer.stop()
    await producer.stop()


async def produce(producer: AIOKafkaProducer, count: int) -> None:
    for _ in range(count // BATCH):
        sends = [await producer.send(TOPIC.name, RECORD.encode(), uuid4().hex.encode()) for _ in range(BATCH)]
        await asyncio.gather(*sends)


async def consume(consumer: AIOKafkaConsumer, count: int) -> None:
    while count > 0:
        taken = await consumer.getmany(timeout_ms=500, max_records=500)
        count -= sum(map(len, taken.values()))


async def timed(role: str, count: int) -> float:
    began = time.monotonic()
    await {"write": write, "hop": hop}[role](count)
    return time.monotonic() - began


async def limit_per_second(folder: Path, count: int = COUNT) -> float:
    """Referrals a second that have both their write and their hop, on servers prepared as ours are."""
    async with embedded_kafka(folder / "kafka") as bootstrap, embedded_postgres(folder / "postgres") as superuser_dsn:
        await make_topics(KafkaAddress(bootstrap), [TOPIC])
        await create_databases(superuser_dsn, {"limit": PASSWORD})
        environment = os.environ | {"KAFKA": bootstrap, "DSN": dsn_of(superuser_dsn, "limit", PASSWORD)}
        both = [run(role, count, environment) for role in ("write", "hop")]
        return count / max(await asyncio.gather(*both))


async def run(role: str, count: int, environment: dict[str, str]) -> float:
    command = (sys.executable, "-m", "benchmarks.floor.limit", role, str(count))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the {role} of the limit ended with {process.returncode}")
    return float(printed)


if __name__ == "__main__":
    print(uvloop.run(timed(sys.argv[1], int(sys.argv[2]))))
