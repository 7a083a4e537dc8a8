"""What the framework takes for an event at each hop: our batch subscriber over FastStream against aiokafka alone.

Rule: both read the same records from the same broker, with the same settings, and do nothing with them; by turns, the
best of each counts. CPU of this process, which the broker is not in.

    python -m benchmarks.framework        starts a broker of its own
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from ihala_events.topics import Topic
from ihala_local.embedded import embedded_kafka
from ihala_runtime.consumer import Consumer, ConsumerRunner
from ihala_runtime.kafka import LOOK_AGAIN_MS, QUIET_MS, Consumers
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.pace import Pace
from ihala_runtime.topics import make_topics

from benchmarks.extent import Extent
from benchmarks.report import Report, table

TOPIC = Topic("framework", "case_ref")
EVENT_BYTES = 1_900  # of each of the three that a referral causes (costs.toml)
EVENTS = {6: 3_000, 500: 20_000}
"""By records in a batch: what comes in 20 ms at 300/s; the most that is taken at once."""

RECORDS = max(EVENTS.values()) + 2 * max(EVENTS)  # the first batch is not counted, the last is not full
ROUNDS = 3


class Reading:
    """CPU from the first batch to the last, so that joining and leaving a group are not in it."""

    def __init__(self, events: int) -> None:
        self.done = asyncio.Event()
        self.microseconds = 0.0  # an event, when done
        self._wanted, self._taken = events, 0
        self._began: int | None = None

    def take(self, count: int) -> None:
        if self._began is None:
            self._began = time.process_time_ns()
            return
        self._taken += count
        if self._taken >= self._wanted and not self.done.is_set():
            self.microseconds = (time.process_time_ns() - self._began) / 1000 / self._taken
            self.done.set()


class Idle:
    """Counts what it is given, in place of a runner that stores it."""

    is_stuck = False

    def __init__(self, consumer: Consumer[Any], reading: Reading) -> None:
        self.consumer = consumer
        self._reading = reading

    async def process(self, records: Sequence[Any]) -> None:
        self._reading.take(len(records))

    def stop(self) -> None:
        return


async def by_framework(bootstrap: str, batch: int) -> float:
    reading = Reading(EVENTS[batch])
    consumer: Consumer[Any] = Consumer(
        f"framework-{uuid4()}", cast(Any, None), {}, topics=(TOPIC.name,), max_records=batch
    )
    consumers = Consumers(KafkaAddress(bootstrap), "framework", [cast(ConsumerRunner, Idle(consumer, reading))])
    running = asyncio.create_task(consumers.run())
    await reading.done.wait()
    running.cancel()
    await consumers.finish()
    return reading.microseconds


async def alone(bootstrap: str, batch: int) -> float:
    reading = Reading(EVENTS[batch])
    consumer = AIOKafkaConsumer(
        TOPIC.name,
        bootstrap_servers=bootstrap,
        group_id=f"alone-{uuid4()}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=QUIET_MS,
    )
    await consumer.start()
    pace = Pace()
    while not reading.done.is_set():
        await pace.turn()
        taken = await consumer.getmany(timeout_ms=LOOK_AGAIN_MS, max_records=batch)
        if taken:
            reading.take(sum(map(len, taken.values())))
    await consumer.stop()
    return reading.microseconds


async def fill(bootstrap: str) -> None:
    await make_topics(KafkaAddress(bootstrap), [TOPIC])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    sends = [await producer.send(TOPIC.name, bytes(EVENT_BYTES), key=b"%d" % number) for number in range(RECORDS)]
    await asyncio.gather(*sends)
    await producer.stop()


async def measured(folder: Path, rounds: int) -> dict[int, tuple[float, float]]:
    """By records in a batch: µs an event over FastStream, and by aiokafka alone."""
    async with embedded_kafka(folder) as bootstrap:
        await fill(bootstrap)
        found = {}
        for batch in EVENTS:
            turns = [(await by_framework(bootstrap, batch), await alone(bootstrap, batch)) for _ in range(rounds)]
            found[batch] = (min(ours for ours, _ in turns), min(bare for _, bare in turns))
        return found


def rows_of(found: dict[int, tuple[float, float]]) -> list[list[str]]:
    return [[str(batch), f"{ours:.1f}", f"{bare:.1f}", f"{ours - bare:.1f}"] for batch, (ours, bare) in found.items()]


NAMES = ("records in a batch", "over FastStream, µs an event", "aiokafka alone", "the tax")


async def framework_part(report: Report, _extent: Extent, folder: Path) -> None:
    found = await measured(folder, ROUNDS)
    ours, bare = found[min(found)]
    report.found("framework.tax_us", ours - bare)
    report.add(f"The framework's CPU at each hop, best of {ROUNDS} turns", table(NAMES, rows_of(found)))


async def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ihala-framework-") as folder:
        print(table(NAMES, rows_of(await measured(Path(folder), rounds))))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    uvloop.run(main(arguments.parse_args().rounds))
