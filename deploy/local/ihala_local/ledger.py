"""The ledger of erasures as a file beside the backups: what a restored system has to erase again (P24).

One erasure a line: case ids, no person. Rule: a line is written back as it was read, headers and all, and is harmless
however often.

Run: `./ihala ledger export FILE`, `./ihala ledger import FILE`; in a container, told of Kafka as the services are,
`python -m ihala_local.ledger export > FILE`, `… import < FILE`.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from ihala_events.intake import SubjectErased
from ihala_events.topics import INTAKE_ERASURE
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.topics import make_topics
from pydantic import ValidationError

from ihala_local.failures import LocalFailure
from ihala_local.given_kafka import told_kafka

T = TypeVar("T")

WITHIN_SECONDS = 60
LOOK_MS = 500


class LedgerFailed(LocalFailure):
    """Kafka does not answer, or a line is no erasure."""


def export(kafka: KafkaAddress) -> list[str]:
    """A line for each erased case."""
    return asyncio.run(_told(_lines(kafka), kafka))


def bring_in(kafka: KafkaAddress, lines: Iterable[str]) -> int:
    """How many erasures were written to the topic, which is made where there is none."""
    records = [_record(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    asyncio.run(_told(_write(kafka, records), kafka))
    return len(records)


async def _told(work: Coroutine[Any, Any, T], kafka: KafkaAddress) -> T:
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            return await work
    except (KafkaError, OSError, TimeoutError) as error:
        raise LedgerFailed(f"Kafka at {kafka.bootstrap}: {type(error).__name__}") from error


async def _lines(kafka: KafkaAddress) -> list[str]:
    reader = AIOKafkaConsumer(**kafka.options(), group_id=None, auto_offset_reset="earliest")
    await reader.start()
    try:
        partitions = [TopicPartition(INTAKE_ERASURE.name, number) for number in range(INTAKE_ERASURE.partitions)]
        reader.assign(partitions)
        latest: dict[bytes, ConsumerRecord] = {}
        ends = await reader.end_offsets(partitions)
        while any([await reader.position(partition) < end for partition, end in ends.items()]):
            batches = await reader.getmany(timeout_ms=LOOK_MS)
            latest |= {record.key: record for batch in batches.values() for record in batch}
    finally:
        await reader.stop()
    return [_line(record) for record in latest.values() if record.value is not None]


def _line(record: ConsumerRecord) -> str:
    headers = {name: value.decode() for name, value in record.headers}
    return json.dumps({"key": record.key.decode(), "headers": headers, "value": json.loads(record.value)})


def _record(number: int, line: str) -> dict[str, Any]:
    """As a producer takes it; LedgerFailed with the line's number."""
    try:
        entry = json.loads(line)
        value = SubjectErased.model_validate_json(json.dumps(entry["value"]))
        headers = [(str(name), str(text).encode()) for name, text in entry["headers"].items()]
    except (ValueError, ValidationError, KeyError, TypeError, AttributeError):
        raise LedgerFailed(f"line {number} is no erasure") from None
    return {"key": str(value.case_id).encode(), "headers": headers, "value": json.dumps(entry["value"]).encode()}


async def _write(kafka: KafkaAddress, records: Iterable[dict[str, Any]]) -> None:
    await make_topics(kafka, [INTAKE_ERASURE])
    producer = AIOKafkaProducer(**kafka.options(), enable_idempotence=True)
    await producer.start()
    try:
        for sent in [await producer.send(INTAKE_ERASURE.name, **record) for record in records]:
            await sent
    finally:
        await producer.stop()


def main(words: list[str]) -> int:
    try:
        kafka = told_kafka()
        match words:
            case ["export"]:
                sys.stdout.writelines(f"{line}\n" for line in export(kafka))
            case ["import"]:
                sys.stderr.write(f"{bring_in(kafka, sys.stdin)} erasures\n")
            case _:
                sys.stderr.write("ihala: export or import\n")
                return 2
    except LocalFailure as failure:
        sys.stderr.write(f"ihala: {failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
