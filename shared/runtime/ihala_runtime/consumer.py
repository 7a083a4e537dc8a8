"""One consumer group over some topics: batches, each stored at once: its inbox rows, effects and events.

The offset of a record is committed only after what handled or parked it was. Infrastructure trouble
is waited out here with the batch in hand; nothing is parked for it. A record's own failure parks that record.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from ihala_events.catalogue import EVENT_TYPES
from opentelemetry.trace import SpanKind

from ihala_runtime import failpoints, inbox, parking, telemetry
from ihala_runtime import metric_names as metrics
from ihala_runtime.failures import DependencyDown, InvalidMessage, failure_class, is_infrastructure
from ihala_runtime.flood import Outcomes
from ihala_runtime.logs import logger
from ihala_runtime.parking import Parked
from ihala_runtime.postgres import Database, NeedsTransaction, Work
from ihala_runtime.received import RawRecord, Received, decode
from ihala_runtime.retry_schedule import BackOff

S = TypeVar("S")

UNANSWERED = "unanswered"  # published again by who lacks the answer
FOR_REBUILD = "rebuild"  # published again for the reader of a rebuild alone
STUCK_SECONDS = 60.0
PARKED_LOOK_SECONDS = 1.0

_log = logger(__name__)


def _by_event_id(received: Received) -> inbox.RecordId:
    return received.id


def _nothing_ignored(_event_type: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ReadModel:
    """``not_compared``: columns that tell when a row was written, not what it says.

    learn: instead of the consumer's handlers, where those do more than to write the table.
    """

    table: str
    not_compared: tuple[str, ...] = ()
    learn: Mapping[str, Callable[[Any, Received], Awaitable[None]]] | None = None


@dataclass(frozen=True)
class Consumer(Generic[S]):
    """What a service says about a group.

    name: the group id.  topics, or pattern: what it reads.  open_scope: loads what the records need and, when it
    closes, stores what the handlers changed.  handlers: by ``ce_type`` with version.  ignore: types that are
    another consumer's business ("" asks for records that are no event at all); any other unknown type is dead at
    once.  inbox_id: what makes two records the same one; by default (``ce_source``, ``ce_id``).  traced: False for
    a read model, whose updates say nothing of the journey.  unhurried: the broker gathers for half a second, where
    nobody waits for the result.  apart_seconds: from one batch to the next, at least, where somebody may wait a
    little.  read_model: the table that holds nothing but what this topic told, if there is one.
    answer_again: for records handled before whose sender asks what became of them.  at_once: most batches are
    reads that lock nothing and one statement, with the inbox rows in it; the others are done again in a transaction.
    repeatable: the same, and handling a record again, or late, changes nothing: no inbox rows.
    """

    name: str
    open_scope: Callable[[Work, Sequence[Received]], AbstractAsyncContextManager[S]]
    handlers: Mapping[str, Callable[[S, Received], Awaitable[None]]]
    topics: tuple[str, ...] = ()
    pattern: str | None = None
    ignore: Callable[[str], bool] = _nothing_ignored
    inbox_id: Callable[[Received], inbox.RecordId] = _by_event_id
    max_records: int = 500
    traced: bool = True
    unhurried: bool = False
    apart_seconds: float = 0.0
    read_model: ReadModel | None = None
    answer_again: Callable[[S, Sequence[Received]], Awaitable[None]] | None = None
    at_once: bool = False
    repeatable: bool = False


class Stopping(Exception):
    """The service stops while a batch waits for a dependency; Kafka gives the batch to the next copy."""


class Outcome(Enum):
    """What became of one record. PASSED: repeated, behind another, or one that can never be read."""

    HANDLED = auto()
    FAILED = auto()
    PASSED = auto()


class ConsumerRunner:
    """Handles batches of one consumer. ``process`` returns when every record is handled or parked."""

    def __init__(self, consumer: Consumer[Any], database: Database) -> None:
        self.consumer = consumer
        self._database = database
        self._stopping = asyncio.Event()
        self._in_hand_since: float | None = None
        self._outcomes = Outcomes()  # a record that can never be read says nothing
        self._back_off = BackOff()

    @property
    def is_stuck(self) -> bool:
        """True when one batch has been in hand for too long."""
        return self._in_hand_since is not None and time.monotonic() - self._in_hand_since > STUCK_SECONDS

    def stop(self) -> None:
        self._stopping.set()

    async def process(self, records: Sequence[RawRecord]) -> None:
        """Raises Stopping when the service stops before the batch could be committed."""
        self._in_hand_since = time.monotonic()
        try:
            failpoints.reach(self.consumer.name, "fetched")
            with metrics.BATCH_SECONDS.labels(self.consumer.name).time():
                await self._until_committed(records)
        finally:
            self._in_hand_since = None

    async def _until_committed(self, records: Sequence[RawRecord]) -> None:
        while True:
            try:
                await self._batch_or_one_by_one(records)
            except Exception as error:
                self._log_unfinished(error)
                await self._pause()
            else:
                self._back_off.reset()
                return

    def _log_unfinished(self, error: Exception) -> None:
        """What is no record's fault is waited out, even where nobody knows what it is: a stuck batch is not ready."""
        if is_infrastructure(error):
            _log.warning(
                "waiting for a dependency",
                action="consume.wait",
                group=self.consumer.name,
                error_class=failure_class(error),
            )
        else:
            _log.error("batch not finished", action="consume.wait", group=self.consumer.name, exc_info=error)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), self._back_off.pause())
        except TimeoutError:
            return
        raise Stopping

    async def _batch_or_one_by_one(self, records: Sequence[RawRecord]) -> None:
        try:
            await self._batch_without_poison(records)
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.warning(
                "batch repeated one by one",
                action="consume.repeat",
                group=self.consumer.name,
                error_class=failure_class(error),
            )
            await self._one_by_one(records)

    async def _batch_without_poison(self, records: Sequence[RawRecord]) -> None:
        """A payload is read where it is handled; only where one cannot be, all are read before: a flood passes."""
        try:
            await self._batch(records)
        except InvalidMessage:
            await self._batch(records, read_payloads=True)

    async def _batch(self, records: Sequence[RawRecord], *, read_payloads: bool = False) -> None:
        """All records, or none: the first failure undoes it."""
        good, poison = self._decoded(records, read_payloads=read_payloads)
        if not poison and await self._at_once(good):
            return
        async with self._database.transaction(self.consumer.name) as work:
            await parking.park_all(work, self.consumer.name, poison)
            fresh, asked, behind = await self._claimed(work, good)
            await self._handle_all(work, fresh, asked)
        self._outcomes.handled(len(fresh))
        self._count(handled=len(fresh), parked=len(poison) + behind, repeated=len(good) - behind - len(fresh))

    async def _at_once(self, received: Sequence[Received]) -> bool:
        """In one statement, if these records come for the first time and need no more; False: nothing was done."""
        if not received or not (self.consumer.at_once or self.consumer.repeatable):
            return not received
        first = self._first_of_each(received)
        try:
            async with self._database.at_once(self.consumer.name) as work:
                await self._handle_all(work, list(first.values()), [])
                if not self.consumer.repeatable:
                    inbox.claim_first(work.writes, self.consumer.name, {key: each.key for key, each in first.items()})
        except (NeedsTransaction, *inbox.NOT_FIRST):
            return False
        self._outcomes.handled(len(first))
        self._count(handled=len(first), repeated=len(received) - len(first))
        return True

    async def _one_by_one(self, records: Sequence[RawRecord]) -> None:
        """One savepoint a record: what fails is parked, with its key's later records behind it.

        Raises DependencyDown when so much fails that it cannot be the records: the batch is undone and waits.
        """
        outcomes = self._outcomes.copy()
        async with self._database.transaction() as work:
            for record in records:
                match await self._alone(work, record):
                    case Outcome.HANDLED:
                        outcomes.handled()
                    case Outcome.FAILED:
                        outcomes.failed()
                if outcomes.are_flood:
                    raise DependencyDown("flood", f"{outcomes.failures} of the last records failed")
        self._outcomes = outcomes

    async def _alone(self, work: Work, record: RawRecord) -> Outcome:
        try:
            async with work.savepoint():
                good, poison = self._decoded([record])
                if poison:
                    raise poison[0][1]
                fresh, asked, _ = await self._claimed(work, good)
                await self._handle_all(work, fresh, asked)
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.warning(
                "record parked",
                action="consume.park",
                group=self.consumer.name,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                exc_info=error,
            )
            await parking.park(work, self.consumer.name, record, error)
            self._count(parked=1)
            return Outcome.PASSED if isinstance(error, InvalidMessage) else Outcome.FAILED
        self._count(handled=len(fresh))
        return Outcome.HANDLED if fresh else Outcome.PASSED

    async def retry_parked(self) -> None:
        """Until ``stop``: try parked records whose time has come, a key's records in order."""
        while not self._stopping.is_set():
            try:
                progress = await self._retry_due()
            except Exception as error:
                if not is_infrastructure(error):
                    _log.exception("retrying parked records failed", action="park.retry", group=self.consumer.name)
                progress = False
            if not progress:
                await self._rest(PARKED_LOOK_SECONDS)

    async def _retry_due(self) -> bool:
        async with self._database.connection() as connection:
            ids = await parking.due(connection, self.consumer.name)
        return any([await self._retry(parked_id) for parked_id in ids])

    async def _retry(self, parked_id: int) -> bool:
        """True when the record is settled, so that the next of its key may follow at once."""
        async with self._database.transaction() as work:
            parked = await parking.take(work.conn, parked_id)
            if parked is None:
                return False
            try:
                async with work.savepoint():
                    await self._handle_again(work, parked)
            except Exception as error:
                if is_infrastructure(error):
                    raise
                await parking.failed_again(work, self.consumer.name, parked, error)
                return False
        self._outcomes.handled()
        return True

    async def _handle_again(self, work: Work, parked: Parked) -> None:
        good, poison = self._decoded([parked.record])
        if poison:
            raise poison[0][1]
        fresh = await self._claimed_again(work, good)
        async with self.consumer.open_scope(work, fresh) as scope:
            for each in fresh:
                await self._handle(scope, each)
        await parking.settle(work.conn, parked)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _decoded(
        self, records: Sequence[RawRecord], *, read_payloads: bool = False
    ) -> tuple[list[Received], list[tuple[RawRecord, InvalidMessage]]]:
        """(what is ours, what can never be read); types that are another consumer's are left out."""
        good: list[Received] = []
        poison: list[tuple[RawRecord, InvalidMessage]] = []
        for record in records:
            try:
                received = decode(record)
            except InvalidMessage as malformed:
                if not self.consumer.ignore(""):
                    poison.append((record, malformed))
                continue
            if received.envelope.again == FOR_REBUILD or self.consumer.ignore(received.type):
                continue
            error = self._unreadable(received, read_payload=read_payloads)
            if error is None:
                good.append(received)
            else:
                poison.append((record, error))
        return good, poison

    def _unreadable(self, received: Received, *, read_payload: bool) -> InvalidMessage | None:
        if received.type not in self.consumer.handlers:
            return InvalidMessage("unknown-type", "no handler for this event type")
        try:
            if read_payload and received.type in EVENT_TYPES:
                received.payload(EVENT_TYPES[received.type].payload)
        except InvalidMessage as error:
            return error
        return None

    async def _handle_all(self, work: Work, fresh: Sequence[Received], asked: Sequence[Received]) -> None:
        async with self.consumer.open_scope(work, [*fresh, *asked]) as scope:
            for received in fresh:
                await self._handle(scope, received)
            if asked and self.consumer.answer_again is not None:
                await self.consumer.answer_again(scope, asked)

    async def _claimed(self, work: Work, received: Sequence[Received]) -> tuple[list[Received], list[Received], int]:
        """(not handled before, each once; handled, but asked after; how many parked behind one of their key)"""
        if not received:
            return [], [], 0
        first = self._first_of_each(received)
        if self.consumer.repeatable:
            return list(first.values()), [], 0
        claimed = await inbox.claim(work.conn, self.consumer.name, {key: each.key for key, each in first.items()})
        behind = [each for each in received if each.key in claimed.blocked]
        for each in behind:
            await parking.park_behind(work, self.consumer.name, each.raw)
        fresh = [each for record_id, each in first.items() if record_id in claimed.fresh]
        repeated = [each for record_id, each in first.items() if record_id not in claimed.fresh]
        asked = [each for each in repeated if each.key not in claimed.blocked and each.envelope.again == UNANSWERED]
        return fresh, asked, len(behind)

    async def _claimed_again(self, work: Work, received: Sequence[Received]) -> list[Received]:
        """The same for a parked record's own retry, which is not blocked by itself."""
        first = self._first_of_each(received)
        if self.consumer.repeatable:
            return list(first.values())
        claimed = await inbox.claim(work.conn, self.consumer.name, dict.fromkeys(first))
        return [each for record_id, each in first.items() if record_id in claimed.fresh]

    def _first_of_each(self, received: Sequence[Received]) -> dict[inbox.RecordId, Received]:
        first: dict[inbox.RecordId, Received] = {}
        for each in received:
            first.setdefault(self.consumer.inbox_id(each), each)
        return first

    async def _handle(self, scope: Any, received: Received) -> None:
        if not self.consumer.traced:
            await self.consumer.handlers[received.type](scope, received)
            return
        envelope = received.envelope
        began = envelope.journey if telemetry.is_traceparent(envelope.journey) else None
        hop = envelope.traceparent if telemetry.is_traceparent(envelope.traceparent) else None
        with telemetry.continued(
            f"process {received.type}",
            SpanKind.CONSUMER,
            began=began,
            hop=hop,
            messaging__system="kafka",
            messaging__destination__name=received.topic,
            messaging__consumer__group__name=self.consumer.name,
        ):
            await self.consumer.handlers[received.type](scope, received)

    def _count(self, *, handled: int = 0, parked: int = 0, repeated: int = 0) -> None:
        for result, count in (("handled", handled), ("parked", parked), ("repeated", repeated)):
            if count:
                metrics.CONSUMED.labels(self.consumer.name, result).inc(count)
