"""Kafka as our services use it: batch subscribers with raw records and offsets committed only after the effects.

FastStream's defaults would lose records (acknowledge first, start at the latest offset, swallow handler errors),
so every one of them is overridden here, and nowhere else.
"""

import asyncio
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from ihala_runtime import failpoints, unreadable
from ihala_runtime import metric_names as metrics
from ihala_runtime.consumer import ConsumerRunner, Stopping
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.logs import logger
from ihala_runtime.pace import Pace
from ihala_runtime.received import RawRecord
from ihala_runtime.retry_schedule import BackOff
from ihala_runtime.standstill import LOOK_EVERY_SECONDS, Standstill

COMMIT_EVERY_SECONDS = 1.0  # after a kill that much comes again, and has no second effect
LAG_EVERY_SECONDS = 2.0
LOOK_AGAIN_MS = 500
ENOUGH_BYTES = 262_144
QUIET_MS = 2_000  # the broker answers as soon as there is a record; only how often nothing is said depends on this
A_DAY_MS = 86_400_000  # nothing polls while a handler waits out a dependency
IN_HAND_SECONDS = 8.0
LEAVE_SECONDS = 4.0
ANSWER_SECONDS = 5.0  # a question waits behind a fetch of the same connection, which may take QUIET_MS
# A copy that is starved of CPU for some seconds is not gone. One that was killed and comes back under its name
# takes its place at once, without waiting for this.
SESSION_MS = 20_000

_log = logger(__name__)


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One runner's place in its group: what it was given, what it has finished, what is committed."""

    def __init__(self, runner: ConsumerRunner) -> None:
        self.runner = runner
        self.joined = False
        self._has_joined = False
        self._standstill = Standstill()
        self._subscriber: Any = None
        self._finished: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._pace = Pace(runner.consumer.apart_seconds)

    def attach(self, broker: KafkaBroker, instance: str | None) -> None:
        consumer = self.runner.consumer
        self._subscriber = broker.subscriber(
            *consumer.topics,
            pattern=consumer.pattern,
            group_id=consumer.name,
            batch=True,
            auto_offset_reset="earliest",
            max_poll_interval_ms=A_DAY_MS,
            session_timeout_ms=SESSION_MS,
            group_instance_id=instance and f"{consumer.name}-{instance}",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            fetch_max_wait_ms=LOOK_AGAIN_MS if consumer.unhurried else QUIET_MS,
            fetch_min_bytes=ENOUGH_BYTES if consumer.unhurried else 1,
            listener=self,
            parser=_raw,
            decoder=_records,
        )
        self._subscriber(self._on_batch)
        self._subscriber.get_msg = self._next_batch

    async def _next_batch(self, consumer: AIOKafkaConsumer) -> tuple[Any, ...]:
        """Records as soon as there are some. FastStream's own would sleep blindly after each empty look."""
        await self._pace.turn()
        taken = await consumer.getmany(timeout_ms=LOOK_AGAIN_MS, max_records=self.runner.consumer.max_records)
        return tuple(chain.from_iterable(taken.values()))

    async def _on_batch(self, records: Any) -> None:
        if self._stopping:
            return
        self._idle.clear()
        try:
            with self._pace.batch():
                await self.runner.process([RawRecord.of(record) for record in records])
            for record in records:
                self._finished[TopicPartition(record.topic, record.partition)] = record.offset + 1
            self._standstill.moved()
        except Stopping:
            self._stopping = True
        except Exception:
            # The batch is not finished: stop reading, so that no later offset is committed past it.
            _log.exception("consumer broken", action="consume.broken", group=self.name)
            self._stopping = True
            raise
        finally:
            self._idle.set()

    @property
    def name(self) -> str:
        return self.runner.consumer.name

    @property
    def is_ready(self) -> bool:
        moves = not self.runner.is_stuck and not self._standstill.is_too_long
        return self._has_joined and not self._stopping and moves

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:  # noqa: ARG002
        self.joined = self._has_joined = True
        self._standstill.moved()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let the batch in hand finish and commit it; what does not finish comes again, without a second effect."""
        self.joined = False
        await self._wait_idle()
        await self.commit()
        for partition in revoked:
            self._finished.pop(partition, None)
            self._committed.pop(partition, None)
        for partition in revoked:
            _forget_lag(self.name, partition)

    async def commit(self) -> None:
        """Commit what is finished and still ours; a failure only means that records come again."""
        consumer = self._consumer()
        if consumer is None:
            return
        ours = consumer.assignment()
        new = {tp: o for tp, o in self._finished.items() if tp in ours and self._committed.get(tp) != o}
        if not new:
            return
        failpoints.reach(self.name, "offsets")
        try:
            await asyncio.wait_for(consumer.commit(new), 5)
            self._committed.update(new)
        except (CommitFailedError, IllegalStateError, KafkaError, TimeoutError) as error:
            _log.warning(
                "offsets not committed", action="consume.commit", group=self.name, error_class=type(error).__name__
            )

    async def lag(self) -> dict[TopicPartition, int]:
        """Records not handled yet, by partition of ours."""
        consumer = self._consumer()
        if consumer is None:
            return {}
        lag = {}
        for partition in consumer.assignment():
            at = self._finished.get(partition)
            if at is None:
                at = await _position(consumer, partition)
            if at is None or partition not in consumer.assignment():
                continue  # a rebalance took it while we asked
            if (end := consumer.highwater(partition)) is not None:
                lag[partition] = max(0, end - at)
        return lag

    async def look_for_standstill(self) -> None:
        if self._standstill.is_possible:
            self._standstill.looked(should_move=await self._should_move())

    async def _should_move(self) -> bool:
        """Kafka answers, and this is out of its group or there are records that were not taken.

        What was fetched last cannot tell. Nor can the last record: the mark of a transaction stands behind it.
        """
        consumer = self._consumer()
        if consumer is None:
            return False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if not self.joined:
                    return bool(await consumer.topics())
                ends = await consumer.end_offsets(consumer.assignment())
        except (KafkaError, TimeoutError):
            return False
        return any([(await _position(consumer, each) or 0) < end for each, end in ends.items()])

    async def measure_lag(self) -> None:
        for partition, records in (await self.lag()).items():
            metrics.CONSUMER_LAG.labels(self.name, partition.topic, str(partition.partition)).set(records)

    async def is_behind(self) -> bool:
        """True when records wait, or when it is not known whether any do."""
        return not self.joined or any((await self.lag()).values())

    async def finish(self) -> None:
        """Take no more, finish the batch in hand, commit it."""
        self._stopping = True
        self.runner.stop()
        await self._wait_idle()
        await self.commit()

    async def _wait_idle(self) -> None:
        try:
            await asyncio.wait_for(self._idle.wait(), IN_HAND_SECONDS)
        except TimeoutError:
            _log.warning("batch in hand not finished", action="consume.revoke", group=self.name)

    def _consumer(self) -> AIOKafkaConsumer | None:
        return None if self._subscriber is None else self._subscriber.consumer


class Consumers:
    """All subscriptions of a service. Kafka may be down at the start: they join when it is there."""

    def __init__(
        self, kafka: KafkaAddress, client_id: str, runners: Sequence[ConsumerRunner], instance: str | None = None
    ) -> None:
        """instance: the name of this copy, stable over restarts and unique, if there is one."""
        unreadable.prepare()
        self._started = False
        self.subscriptions = [Subscription(runner) for runner in runners]
        self._broker = KafkaBroker(
            kafka.bootstrap,
            security=kafka.security(),
            client_id=client_id,
            consumer_only=True,  # the relay publishes: no producer and no admin client, which would keep connections
            allow_auto_create_topics=False,
            metadata_max_age_ms=5_000,  # a new party's topic is read within seconds
            graceful_timeout=IN_HAND_SECONDS,
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,  # injection costs more than handling a record
            logger=None,
        )
        for subscription in self.subscriptions:
            subscription.attach(self._broker, instance)

    async def is_behind(self, name: str) -> bool:
        """Whether the consumer of that name has records still to handle."""
        return any([await each.is_behind() for each in self.subscriptions if each.name == name])

    async def run(self) -> None:
        """Until cancelled: join, then commit offsets and measure lag."""
        await self._join()
        since_lag = 0.0
        while True:
            await asyncio.sleep(COMMIT_EVERY_SECONDS)
            since_lag += COMMIT_EVERY_SECONDS
            for subscription in self.subscriptions:
                await subscription.commit()
                if since_lag >= LAG_EVERY_SECONDS:
                    await subscription.measure_lag()
            since_lag = since_lag if since_lag < LAG_EVERY_SECONDS else 0.0

    async def watch(self) -> None:
        """Until cancelled: look whether one stands still."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            for subscription in self.subscriptions:
                await subscription.look_for_standstill()

    async def _join(self) -> None:
        back_off = BackOff(0.5, 5.0)
        while not self._started:  # a second start would put every consumer into its group twice
            try:
                await self._broker.start()
                self._started = True
            except (KafkaError, OSError) as error:
                _log.warning("kafka not reachable", action="kafka.join", error_class=type(error).__name__)
                await self._broker.stop()
                await asyncio.sleep(back_off.pause())

    async def finish(self) -> None:
        """Finish what is in hand and leave the groups; a library that is stuck while it leaves holds up nothing."""
        await asyncio.gather(*(subscription.finish() for subscription in self.subscriptions))
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._broker.stop()
        except TimeoutError:
            _log.warning("groups not left in time", action="kafka.leave")


async def _raw(records: Any) -> KafkaMessage:
    """A batch as Kafka gave it: headers are not decoded here, where a bad one would lose the record silently."""
    return KafkaMessage(
        body=b"", headers={}, raw_message=records, message_id="", correlation_id="", consumer=_NO_CONSUMER
    )


async def _records(message: Any) -> Any:
    return message.raw_message


class _NoConsumer:
    async def commit(self) -> None:
        raise NotImplementedError("offsets are committed by the subscription")

    def seek(self, partition: TopicPartition, offset: int) -> None:
        raise NotImplementedError("offsets are committed by the subscription")


_NO_CONSUMER = _NoConsumer()


async def _position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    try:
        return int(await asyncio.wait_for(consumer.position(partition), 0.5))
    except (TimeoutError, KafkaError):
        return None


def _forget_lag(group: str, partition: TopicPartition) -> None:
    try:
        metrics.CONSUMER_LAG.remove(group, partition.topic, str(partition.partition))
    except KeyError:
        return
