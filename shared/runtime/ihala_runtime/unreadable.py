"""What a producer may put on a topic and aiokafka cannot read: it becomes one record that is dead at once.

By itself aiokafka raises in the middle of a batch: it would come back to the same place for ever, for all topics of
the group, and lose what it had taken from other partitions meanwhile. It would also unpack as much as a sender packed.
"""

import gzip
import io
import sys
from collections.abc import Iterator
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch

from ihala_runtime.logs import logger

MAX_BATCH_BYTES = 16 * 1024 * 1024  # unpacked; packed, a broker takes one megabyte
UNREADABLE = (("unreadable", None),)
"""The headers of the record that stands for what could not be read."""

_log = logger(__name__)


def prepare() -> None:
    """Once a process, before a consumer is made. aiokafka offers no other way in."""
    fetcher.PartitionRecords = ReadableRecords
    sys.modules[DefaultRecordBatch.__module__].gzip_decode = unpacked  # type: ignore[attr-defined]


class ReadableRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """One partition's fetched batches. ``next_fetch_offset`` tells the fetcher where it is."""

    def _unpack_records(self) -> Iterator["ConsumerRecord[bytes, bytes]"]:
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                _log.error("batch damaged on its way", action="consume.read", topic=self._tp.topic)
                return  # fetched again, since nobody wrote it like that
            if not batch.is_control_batch:
                yield from self._of_batch(batch)
            self.next_fetch_offset = batch.next_offset

    def _of_batch(self, batch: Any) -> Iterator["ConsumerRecord[bytes, bytes]"]:
        """Up to the first that cannot be read, then one for all that is left: where it ends cannot be known."""
        try:
            for record in batch:
                if record.offset >= self.next_fetch_offset:
                    self.next_fetch_offset = record.offset + 1
                    yield self._consumer_record(self._tp, record)
        except Exception as error:
            name = type(error).__name__
            _log.warning("batch not readable", action="consume.read", topic=self._tp.topic, error_class=name)
            self.next_fetch_offset = batch.next_offset
            yield _stand_in(self._tp, batch)


def _stand_in(place: TopicPartition, batch: Any) -> "ConsumerRecord[bytes, bytes]":
    last = batch.next_offset - 1
    time = batch.max_timestamp, batch.timestamp_type
    return ConsumerRecord(place.topic, place.partition, last, *time, None, None, None, -1, -1, UNREADABLE)


def unpacked(packed: bytes) -> bytes:
    """Raises CorruptRecordException when it is more than anybody needs."""
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        content = file.read(MAX_BATCH_BYTES + 1)
    if len(content) > MAX_BATCH_BYTES:
        raise CorruptRecordException
    return content
