"""The ledger of erasures, read from its beginning at each start and then followed: no group, no offset.

A restored copy of a database does not know what was erased after it was made; the compacted topic does (P24).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from ihala_events.intake import SubjectErased
from ihala_events.topics import INTAKE_ERASURE
from pydantic import ValidationError

from ihala_runtime.failures import is_infrastructure
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.logs import logger
from ihala_runtime.retry_schedule import BackOff

LOOK_AGAIN_MS = 500
METADATA_MAX_AGE_MS = 5_000

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class ErasureLedger:
    """apply: erases again what had come back, as often as it is told; how many cases had."""

    kafka: KafkaAddress
    client_id: str
    apply: Callable[[Sequence[SubjectErased]], Awaitable[int]]

    async def follow(self) -> None:
        """Until cancelled. When Kafka or a database is away, it starts again at the beginning once they are back."""
        back_off = BackOff(0.5, 30.0)
        while True:
            try:
                await self._read_from_the_beginning()
            except Exception as error:
                if not isinstance(error, (KafkaError, OSError)) and not is_infrastructure(error):
                    raise
                _log.warning("ledger not readable", action="erasure.ledger", error_class=type(error).__name__)
                await asyncio.sleep(back_off.pause())

    async def _read_from_the_beginning(self) -> None:
        consumer = AIOKafkaConsumer(
            INTAKE_ERASURE.name,
            **self.kafka.options(),
            client_id=self.client_id,
            group_id=None,  # all partitions, and no place remembered
            auto_offset_reset="earliest",
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        try:
            await consumer.start()
            while True:
                batches = await consumer.getmany(timeout_ms=LOOK_AGAIN_MS)
                await self._apply([record for batch in batches.values() for record in batch])
        finally:
            await consumer.stop()

    async def _apply(self, records: Sequence[Any]) -> None:
        came_back = await self.apply([erased for record in records for erased in _erasures(record)])
        if came_back:
            _log.warning("erased again what a restore brought back", action="erasure.again", cases=came_back)


def _erasures(record: Any) -> list[SubjectErased]:
    """One; none for a tombstone, or for a record that is no erasure, which is logged by its place."""
    if record.value is None:
        return []
    try:
        return [SubjectErased.model_validate_json(record.value)]
    except ValidationError:
        _log.error("not an erasure", action="erasure.ledger", partition=record.partition, offset=record.offset)
        return []
