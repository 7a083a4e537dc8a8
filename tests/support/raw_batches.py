"""Batches for Kafka byte by byte, as no honest client would write them."""

import struct
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

LENGTH_AT, EPOCH_AT, ATTRIBUTES_AT, RECORDS_AT = 8, 12, 21, 61
GZIP, ZSTD = 1, 4
ZSTD_BLOCK = 128 * 1024

Headers = Sequence[tuple[str, bytes | None]]


class BadName(str):
    """A header's name that is no UTF-8 on the wire."""

    def encode(self, *_arguments: str) -> bytes:
        return b"\xff\xfe"


def a_batch(key: bytes | None, value: bytes | None, headers: Headers, records: int = 1) -> bytes:
    """The same record some times, unpacked."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1 << 30)
    for offset in range(records):
        builder.append(offset, 1, key, value, headers)
    return bytes(builder.build())


def packed(batch: bytes, codec: int, pack: Callable[[bytes], bytes]) -> bytes:
    rest = struct.pack(">h", codec) + batch[ATTRIBUTES_AT + 2 : RECORDS_AT] + pack(batch[RECORDS_AT:])
    head = batch[EPOCH_AT : EPOCH_AT + 5] + struct.pack(">I", calc_crc32c(rest))
    return batch[:LENGTH_AT] + struct.pack(">i", len(head) + len(rest)) + head + rest


def zstd_unpacked(content: bytes) -> bytes:
    """A frame of raw blocks: what a client with another codec than gzip would send, without that codec."""
    blocks = [content[start : start + ZSTD_BLOCK] for start in range(0, len(content), ZSTD_BLOCK)]
    frame = b"\x28\xb5\x2f\xfd" + b"\xa0" + struct.pack("<I", len(content))
    for number, block in enumerate(blocks, 1):
        frame += struct.pack("<I", len(block) << 3 | (number == len(blocks)))[:3] + block
    return frame


async def send_raw(producer: AIOKafkaProducer, topic: str, partition: int, batch: bytes, records: int = 1) -> None:
    """Raises KafkaError when the broker itself refuses it."""
    builder = producer.create_batch()
    builder.close()
    builder._buffer, builder._relative_offset = bytearray(batch), records
    await (await producer.send_batch(builder, topic, partition=partition))
