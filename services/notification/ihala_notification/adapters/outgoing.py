"""What goes out of one batch of referral events, in PostgreSQL: loaded at once, stored at once.

Deliveries of this batch that may be sent at once are inserted already leased to this copy and handed to the
dispatcher after the commit; the others wait to be claimed. Rows are locked in the order of `position`,
everywhere, so that a batch and a recording never wait for each other in a circle.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from ihala_events.catalogue import COPIES
from ihala_events.partner import ReferralCopy
from ihala_events.topics import party_out
from ihala_runtime.outbox import NewEvent, new_event
from ihala_runtime.postgres import NeedsTransaction, Work, as_rows

from ihala_notification.adapters import receipts
from ihala_notification.adapters.receipts import SOURCE, Receipt, aggregate_of
from ihala_notification.domain.attempt import Failure
from ihala_notification.domain.delivery import Channel, Delivery, DeliveryState, DueDelivery, Unsent

# A backstop: a lease ends earlier when its copy is not seen any more (`claims.py`).
LEASE_SECONDS = 120.0
COPY_KINDS = {kind.type: kind for kind in COPIES}


class Lanes(Protocol):
    """The dispatcher, as far as queueing needs it."""

    @property
    def copy_id(self) -> UUID: ...

    def held_back(self, partner_id: str) -> Failure | None:
        """Why the agency's endpoint cannot be asked now; None when it can."""
        ...

    def has_room(self, partner_id: str) -> bool: ...

    def offer(self, due: Sequence[DueDelivery]) -> None: ...

    def forget(self, delivery_ids: Iterable[UUID]) -> None: ...

    def expect_follower(self, queue: tuple[str, UUID]) -> None: ...

    def wake(self) -> None: ...


@dataclass(frozen=True, slots=True)
class NewRow:
    """A delivery to insert. leased: this copy sends it as soon as it is committed.

    told: published if it was new; one that is there already was told of then.
    """

    delivery: Delivery
    channel: Channel
    state: DeliveryState
    sequence: int = 0
    leased: bool = False
    reason: str | None = None
    told: tuple[NewEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A webhook delivery that has not ended, stored or about to be."""

    delivery: Delivery
    tries: int
    sequence: int


@dataclass(slots=True)
class PostgresOutgoing:
    """Fulfils `handlers.tell_agency.Outgoing`. Receipts are recorded within the trace at hand."""

    work: Work
    lanes: Lanes
    _channels: dict[str, frozenset[str]] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)
    _over: dict[UUID, int] = field(default_factory=dict)
    _newly_over: dict[UUID, int] = field(default_factory=dict)
    _waiting: dict[UUID, list[Waiting]] = field(default_factory=lambda: defaultdict(list))
    _new: dict[tuple[UUID, Channel], NewRow] = field(default_factory=dict)
    _suppressed: list[UUID] = field(default_factory=list)
    _followers: list[tuple[str, UUID]] = field(default_factory=list)

    # --- asked by the handlers ---

    def channels_of(self, partner_id: str) -> frozenset[str] | None:
        return self._channels.get(partner_id)

    def is_stopped(self, partner_id: str) -> bool:
        return partner_id in self._stopped

    def attempts_over(self, referral_id: UUID) -> int:
        return self._over.get(referral_id, 0)

    def waiting(self, referral_id: UUID) -> Sequence[Delivery]:
        return [each.delivery for each in self._waiting[referral_id]]

    def end_attempts(self, referral_id: UUID, up_to: int) -> None:
        self._over[referral_id] = self._newly_over[referral_id] = up_to

    def suppress(self, delivery: Delivery) -> None:
        queue = self._waiting[delivery.referral_id]
        waiting = next(each for each in queue if each.delivery.delivery_id == delivery.delivery_id)
        queue.remove(waiting)
        sequence = waiting.sequence + 1
        told = _suppressed(delivery, sequence, waiting.tries, Unsent.ATTEMPT_ENDED)
        if new := self._new.get((delivery.delivery_id, Channel.WEBHOOK)):
            told_of = (*new.told, told)
            self._add(replace(new, state=DeliveryState.SUPPRESSED, sequence=sequence, leased=False, told=told_of))
        else:
            self._suppressed.append(delivery.delivery_id)
            self.work.record(told)

    def withhold(self, delivery: Delivery, why: Unsent) -> None:
        told = _suppressed(delivery, 1, 0, why)
        self._add(NewRow(delivery, Channel.WEBHOOK, DeliveryState.SUPPRESSED, 1, reason=why.value, told=(told,)))

    def send(self, delivery: Delivery, channel: Channel) -> None:
        match channel:
            case Channel.WEBHOOK:
                self._queue(delivery)
            case Channel.KAFKA:
                self._done_at_once(delivery, channel, 2, _copy(delivery))
            case Channel.INBOX:
                self._done_at_once(delivery, channel, 1)

    def _queue(self, delivery: Delivery) -> None:
        held = self.lanes.held_back(delivery.partner_id)
        first = delivery.queue not in (each.delivery.queue for each in self._waiting[delivery.referral_id])
        told = () if held is None else (receipts.held_back(held, 1, 0, datetime.now(UTC)).about(delivery),)
        if not first:
            self._followers.append(delivery.queue)
        leased = first and held is None and self.lanes.has_room(delivery.partner_id)
        sequence, reason = (0, None) if held is None else (1, held.value)
        self._add(NewRow(delivery, Channel.WEBHOOK, DeliveryState.PENDING, sequence, leased, reason, told))
        self._waiting[delivery.referral_id].append(Waiting(delivery, 0, sequence))

    def _done_at_once(self, delivery: Delivery, channel: Channel, sequence: int, *copies: NewEvent) -> None:
        """On a topic or a page the message is there once this transaction is committed."""
        receipt = Receipt(DeliveryState.DELIVERED, channel, sequence, 1, datetime.now(UTC))
        told = (*copies, receipt.about(delivery))
        self._add(NewRow(delivery, channel, DeliveryState.DELIVERED, sequence, told=told))

    def _add(self, row: NewRow) -> None:
        self._new[row.delivery.delivery_id, row.channel] = row

    # --- loading and storing ---

    async def load(self, referral_ids: Sequence[UUID], partner_ids: Sequence[str]) -> None:
        """All that the handlers may ask, in one round trip."""
        for row in await self.work.reading.fetch(_LOAD, partner_ids, referral_ids):
            if row["delivery_id"] is not None:
                waiting = Waiting(delivery_of(row), row["tries"], row["sequence"])
                self._waiting[row["referral_id"]].append(waiting)
            elif row["referral_id"] is not None:
                self._over[row["referral_id"]] = row["attempt_no"]
            else:
                self._channels[row["partner_id"]] = frozenset(row["channels"])
                self._stopped |= {row["partner_id"]} if row["stopped"] else set()
        if self._waiting and self.work.at_once:
            raise NeedsTransaction  # what waits stays locked until this is stored

    async def store(self) -> None:
        if self._newly_over:
            ended = sorted(self._newly_over.items())
            self.work.writes.add(_END_ATTEMPTS, [key for key, _ in ended], [up_to for _, up_to in ended])
        if self._suppressed:
            await self.work.conn.execute(_SUPPRESS, self._suppressed, Unsent.ATTEMPT_ENDED)
        inserted = await self._insert()
        self.work.after_commit.append(lambda: self._hand_over(inserted))

    async def _insert(self) -> set[UUID]:
        """The webhook deliveries that were new."""
        if not self._new:
            return set()
        rows = as_rows(_values(row) | {"place": place} for place, row in enumerate(self._new.values()))
        inserted = await self._write([rows, self.lanes.copy_id, LEASE_SECONDS])
        for key, new in self._new.items():
            for event in new.told if key in inserted else ():
                self.work.record(event)
        return {delivery_id for delivery_id, channel in inserted if channel == Channel.WEBHOOK}

    async def _write(self, arguments: Sequence[Any]) -> Collection[tuple[UUID, str]]:
        """Those that were new: all, where one that is there already refuses the whole batch."""
        if self.work.at_once:
            self.work.writes.add(_INSERT, *arguments)
            return self._new.keys()
        rows = await self.work.conn.fetch(_INSERT_NEW, *arguments)
        return {(row["delivery_id"], row["channel"]) for row in rows}

    def _hand_over(self, inserted: set[UUID]) -> None:
        ends = monotonic() + LEASE_SECONDS
        mine = [row for row in self._new.values() if row.leased and row.delivery.delivery_id in inserted]
        self.lanes.forget(self._suppressed)
        for queue in self._followers:
            self.lanes.expect_follower(queue)
        self.lanes.offer([DueDelivery(row.delivery, 0, 0, row.sequence, ends) for row in mine])


@asynccontextmanager
async def outgoing(
    work: Work, lanes: Lanes, referral_ids: Sequence[UUID], partner_ids: Sequence[str]
) -> AsyncIterator[PostgresOutgoing]:
    """Load what a batch needs; store what the handlers decided."""
    opened = PostgresOutgoing(work, lanes)
    await opened.load(referral_ids, partner_ids)
    yield opened
    await opened.store()


def delivery_of(row: "asyncpg.Record") -> Delivery:
    return Delivery(
        delivery_id=row["delivery_id"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        partner_id=row["partner_id"],
        referral_id=row["referral_id"],
        attempt_no=row["attempt_no"],
        correlation_id=row["correlation_id"],
        body=row["body"],
        journey=row["journey"],
        traceparent=row["traceparent"],
    )


def _suppressed(delivery: Delivery, sequence: int, tries: int, why: Unsent) -> NewEvent:
    at = datetime.now(UTC)
    receipt = Receipt(DeliveryState.SUPPRESSED, Channel.WEBHOOK, sequence, tries, at, reason=why.value)
    return receipt.about(delivery)


def _copy(delivery: Delivery) -> NewEvent:
    """The agency's copy on its own topic: the body of the webhook under the same id."""
    copy = ReferralCopy.model_validate_json(delivery.body)
    return new_event(
        COPY_KINDS[delivery.event_type],
        copy,
        source=SOURCE,
        aggregate_id=aggregate_of(delivery.delivery_id, Channel.KAFKA),
        sequence=1,
        sequenced=False,
        key=str(delivery.referral_id),
        subject=str(delivery.referral_id),
        time=copy.time,
        correlation_id=copy.data.case_ref,
        causation_id=str(delivery.event_id),
        event_id=delivery.delivery_id,
        topic=party_out(delivery.partner_id).name,
        journey=delivery.journey,
    )


def _values(row: NewRow) -> dict[str, Any]:
    told = row.delivery
    return {
        "delivery_id": told.delivery_id,
        "channel": row.channel,
        "event_id": told.event_id,
        "event_type": told.event_type,
        "partner_id": told.partner_id,
        "referral_id": told.referral_id,
        "attempt_no": told.attempt_no,
        "correlation_id": told.correlation_id,
        "body": told.body.decode(),
        "journey": told.journey,
        "traceparent": told.traceparent,
        "state": row.state,
        "sequence": row.sequence,
        "reason": row.reason,
        "leased": row.leased,
    }


# Three kinds of row: deliveries that wait, attempts that are over (no delivery_id), agencies (no referral_id).
_LOAD = """
WITH waiting AS (
    SELECT delivery_id, event_id, event_type, partner_id, referral_id, attempt_no, correlation_id, body, journey,
        traceparent, tries, sequence
    FROM delivery WHERE referral_id = ANY($2::uuid[]) AND channel = 'webhook' AND state = 'pending'
    ORDER BY position FOR UPDATE
), over AS (
    SELECT referral_id, attempt_no FROM attempt_over WHERE referral_id = ANY($2)
), agency AS (
    SELECT partner_id, channels, stopped FROM partner WHERE partner_id = ANY($1::text[])
)
SELECT waiting.*, NULL::text[] AS channels, NULL::boolean AS stopped, row_number() OVER () AS place FROM waiting
UNION ALL
SELECT NULL, NULL, NULL, NULL, referral_id, attempt_no, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0 FROM over
UNION ALL
SELECT NULL, NULL, NULL, partner_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, channels, stopped, 0 FROM agency
ORDER BY place
"""
_END_ATTEMPTS = """
INSERT INTO attempt_over (referral_id, attempt_no) SELECT * FROM unnest($1::uuid[], $2::integer[])
ON CONFLICT (referral_id) DO UPDATE SET attempt_no = greatest(attempt_over.attempt_no, EXCLUDED.attempt_no),
    changed_at = clock_timestamp()
"""
_SUPPRESS = """
UPDATE delivery SET state = 'suppressed', sequence = sequence + 1, last_reason = $2, lease_owner = NULL,
    lease_until = NULL, ended_at = clock_timestamp()
WHERE channel = 'webhook' AND delivery_id = ANY($1)
"""
_INSERT = """
INSERT INTO delivery (delivery_id, channel, event_id, event_type, partner_id, referral_id, attempt_no,
    correlation_id, body, journey, traceparent, state, sequence, last_reason, lease_owner, lease_until, ended_at)
SELECT delivery_id, channel, event_id, event_type, partner_id, referral_id, attempt_no, correlation_id,
    convert_to(body, 'UTF8'), journey, traceparent, state, sequence, reason,
    CASE WHEN leased THEN $2::uuid END,
    CASE WHEN leased THEN clock_timestamp() + make_interval(secs => $3) END,
    CASE WHEN state <> 'pending' THEN clock_timestamp() END
FROM json_to_recordset($1::json) AS given (place integer, delivery_id uuid, channel text, event_id uuid,
    event_type text, partner_id text, referral_id uuid, attempt_no integer, correlation_id text, body text,
    journey text, traceparent text, state text, sequence integer, reason text, leased boolean)
ORDER BY place
"""
_INSERT_NEW = f"{_INSERT} ON CONFLICT (delivery_id, channel) DO NOTHING RETURNING delivery_id, channel"
