"""Which consumers ought to move, and which rest for a reason."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from ihala_runtime import consumer, standstill
from ihala_runtime.consumer import ConsumerRunner
from ihala_runtime.kafka import Subscription
from ihala_runtime.standstill import Standstill

ONE = TopicPartition("cases.v1", 0)


class FakeConsumer:
    """Holds these partitions up to these positions; Kafka answers with these ends, or not at all (None)."""

    def __init__(self, positions: dict[TopicPartition, int], ends: dict[TopicPartition, int] | None) -> None:
        self.positions, self.ends = positions, ends

    def assignment(self) -> set[TopicPartition]:
        return set(self.positions)

    async def position(self, partition: TopicPartition) -> int:
        return self.positions[partition]

    async def end_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: end for each, end in (await self._answer()).items() if each in partitions}

    async def topics(self) -> set[str]:
        return {each.topic for each in await self._answer()}

    async def _answer(self) -> dict[TopicPartition, int]:
        if self.ends is None:
            raise KafkaError
        return self.ends


@pytest.mark.parametrize(
    ("joined", "positions", "ends", "expected"),
    [
        (True, {ONE: 7}, {ONE: 8}, True),  # a record waits
        (True, {ONE: 8}, {ONE: 8}, False),  # nothing waits
        (True, {ONE: 7}, None, False),  # Kafka is away
        (True, {}, {ONE: 8}, False),  # another copy holds the partition
        (False, {}, {ONE: 8}, True),  # out of the group
        (False, {}, None, False),  # out of the group, and Kafka is away
    ],
)
async def test_who_ought_to_move(
    monkeypatch: pytest.MonkeyPatch,
    joined: bool,
    positions: dict[TopicPartition, int],
    ends: dict[TopicPartition, int] | None,
    expected: bool,
) -> None:
    monkeypatch.setattr(standstill, "LOOK_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(consumer, "STUCK_SECONDS", 0.0)
    subscription = a_subscription(FakeConsumer(positions, ends))
    await subscription.on_partitions_assigned(positions)
    subscription.joined = joined

    await subscription.look_for_standstill()
    await asyncio.sleep(0.001)

    assert subscription.is_ready is not expected


async def test_a_short_rebalance_leaves_it_ready() -> None:
    subscription = a_subscription(FakeConsumer({ONE: 8}, {ONE: 8}))
    assert not subscription.is_ready

    await subscription.on_partitions_assigned([ONE])
    await subscription.on_partitions_revoked([ONE])

    assert subscription.is_ready
    assert not subscription.joined


def test_what_moves_again_no_longer_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(standstill, "monotonic", lambda: now)
    seen = Standstill()
    now += 3600  # nothing came for an hour
    seen.looked(should_move=True)
    now += consumer.STUCK_SECONDS
    assert not seen.is_too_long

    now += 1
    assert seen.is_too_long
    seen.moved()
    assert not seen.is_too_long


def a_subscription(fake: FakeConsumer) -> Subscription:
    runner = SimpleNamespace(is_stuck=False, consumer=SimpleNamespace(name="test", apart_seconds=0.0))
    subscription = Subscription(cast(ConsumerRunner, runner))
    subscription._subscriber = cast(Any, SimpleNamespace(consumer=fake))
    return subscription
