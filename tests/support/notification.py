"""The notification service for tests: events as the referral service writes them, a sender that obeys the test,
and the parts on a real database."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from ihala_events.catalogue import EVENT_TYPES, PARTNER_CHANGED
from ihala_events.directory import PartnerRecord
from ihala_events.referral import ReferralEvent
from ihala_notification.adapters.claims import PostgresClaims
from ihala_notification.adapters.delivery_log import PostgresDeliveryLog
from ihala_notification.adapters.endpoints import PostgresEndpoints
from ihala_notification.adapters.results import PostgresResults
from ihala_notification.adapters.secret_box import SecretBox
from ihala_notification.bootstrap import MIGRATIONS
from ihala_notification.domain.attempt import AttemptResult, failure_of_status
from ihala_notification.domain.message import Links
from ihala_notification.domain.retry_schedule import STANDARD_DELAYS_SECONDS, RetrySchedule
from ihala_notification.domain.signing import SignatureKind, SigningKey
from ihala_notification.entrypoints.topics import dispatch_consumer, partner_consumer
from ihala_notification.handlers.dispatch import SEEN_FOR_SECONDS, Dispatcher
from ihala_notification.handlers.tell_agency import TellAgency
from ihala_runtime.consumer import ConsumerRunner
from ihala_runtime.identifiers import uuid7
from ihala_runtime.migrate import RUNTIME_MIGRATIONS, migrate
from ihala_runtime.outbox import NewEvent, new_event
from ihala_runtime.postgres import Database
from ihala_runtime.received import RawRecord
from support.servers import NewDatabase
from support.waiting import wait_until

LINKS = Links("http://intake.example", "http://referral.example")
MONDAY = datetime(2026, 11, 16, 10, 15, tzinfo=UTC)


def a_partner(partner_id: str = "essp-agadir", **changes: Any) -> PartnerRecord:
    values: dict[str, Any] = {
        "partner_id": partner_id,
        "type": "PT-ESSP",
        "names": {"fr": "Centre", "ar": "مركز", "en": "Centre"},
        "communes": ["AGD-AGADIR"],
        "need_codes": ["HEA-MAT"],
        "languages": ["fr", "ar"],
        "active_from": "2026-01-01",
    }
    return PartnerRecord.model_validate_json(json.dumps(values | changes))


def a_referral_event(**changes: Any) -> ReferralEvent:
    """V01 of the domain: the health centre is asked for maternal care."""
    values: dict[str, Any] = {
        "referral_id": UUID("01930000-0000-7000-8000-0000000000aa"),
        "case_id": UUID(int=2),
        "case_ref": "AG-7K3F-9QXY",
        "need_id": UUID(int=3),
        "need_code": "HEA-MAT",
        "urgency": "U2",
        "state": "sent",
        "partner_id": "essp-agadir",
        "partner_type": "PT-ESSP",
        "attempt_no": 1,
        "rule_id": "R11",
        "row": "R11",
        "rule_set_version": "1",
        "flags": ["in_person"],
        "language_tags": ["wo", "fr"],
        "received_at": MONDAY,
        "sent_at": MONDAY,
        "ack_due": datetime(2026, 11, 17, 10, 15, tzinfo=UTC),
        "contact_due": datetime(2026, 11, 19, 10, 15, tzinfo=UTC),
        "actor": "system",
        "at": MONDAY,
    }
    return ReferralEvent.model_validate(values | changes)


@dataclass
class ReferralStory:
    """The events of one referral, in order, as its service would publish them."""

    referral_id: UUID = field(default_factory=uuid7)
    sequence: int = 0

    def event(self, name: str, **changes: Any) -> NewEvent:
        """name: `sent`, `declined`, …"""
        self.sequence += 1
        kind = EVENT_TYPES[f"ihala.referral.{name}.v1"]
        payload = kind.payload.model_validate(a_referral_event(referral_id=self.referral_id, **changes).model_dump())
        return new_event(
            kind,
            payload,
            source="/ihala/referral",
            aggregate_id=self.referral_id,
            sequence=self.sequence,
            key=str(self.referral_id),
            time=MONDAY,
            correlation_id=str(a_referral_event().case_id),
        )


def partner_changed(partner: PartnerRecord) -> NewEvent:
    return new_event(
        PARTNER_CHANGED,
        partner,
        source="/ihala/referral",
        aggregate_id=uuid4(),
        sequence=1,
        key=partner.partner_id,
        subject=partner.partner_id,
        time=datetime.now(UTC),
    )


def as_record(event: NewEvent, offset: int = 0) -> RawRecord:
    headers = tuple((name, text.encode()) for name, text in event.headers.items())
    return RawRecord(event.topic, 0, offset, event.key.encode(), event.payload, headers)


@dataclass(frozen=True)
class Sent:
    address: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    raw: bytes

    @property
    def type(self) -> str:
        return str(self.body["type"]).removeprefix("ihala.referral.").removesuffix(".v1")


class ObedientSender:
    """Takes every message and answers as told: 200, or the status set for an address."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.statuses: dict[str, int] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def post(self, address: str, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        self.sent.append(Sent(address, headers, json.loads(body), body))
        if gate := self.gates.get(address):
            await gate.wait()
        status = self.statuses.get(address, 200)
        return AttemptResult(status, failure_of_status(status), 3, answer=b"thank you")

    def types(self, address: str | None = None) -> list[str]:
        return [each.type for each in self.sent if address in (None, each.address)]


@dataclass
class NotificationWorld:
    """One copy of the service's parts. `copy` makes another over the same database."""

    database: Database
    sender: ObedientSender
    endpoints: PostgresEndpoints
    log: PostgresDeliveryLog
    dispatcher: Dispatcher
    runner: ConsumerRunner
    partners: ConsumerRunner
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    offset: int = 0

    def start(self) -> None:
        """Be seen and write results down; the poll is the test's own, step by step."""
        self.tasks = [asyncio.create_task(each()) for each in (self.dispatcher.show, self.dispatcher.record)]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def tell(self, *events: NewEvent) -> None:
        """As one batch from Kafka."""
        await self.runner.process([self._next(event) for event in events])

    async def know(self, *partners: PartnerRecord) -> None:
        await self.partners.process([self._next(partner_changed(partner)) for partner in partners])

    async def listen(self, partner_id: str = "essp-agadir") -> str:
        """Registers an endpoint for the agency; its address."""
        address = f"https://{partner_id}.example/hook"
        async with self.database.transaction() as work:
            await self.endpoints.register(work, partner_id, address, SignatureKind.HMAC)
            await self.endpoints.add_key(work, partner_id, SigningKey.new(SignatureKind.HMAC), 60)
        await self.dispatcher.look()
        return address

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(query, *arguments))

    async def published(self, name: str = "") -> list[dict[str, Any]]:
        """Payloads of this service's own events, in order, whose type holds the name."""
        rows = await self.rows(
            "SELECT payload FROM event JOIN outbox USING (event_id) WHERE type LIKE $1 ORDER BY outbox.id",
            f"ihala.notification.{name}%",
        )
        return [json.loads(row["payload"]) for row in rows]

    async def states(self) -> list[tuple[str, str]]:
        rows = await self.rows("SELECT event_type, state FROM delivery WHERE channel = 'webhook' ORDER BY position")
        return [(row["event_type"].split(".")[2], row["state"]) for row in rows]

    async def settled(self, count: int) -> None:
        """Wait until so many tries are written down."""

        async def tried() -> bool:
            (row,) = await self.rows("SELECT count(*) AS n FROM attempt")
            return bool(row["n"] >= count)

        await wait_until(lambda: tried(), what=f"{count} tries")

    async def due_now(self) -> None:
        """As if the time until the next try had passed."""
        await self.rows("UPDATE delivery SET next_attempt_at = clock_timestamp() WHERE state = 'pending'")
        await self.dispatcher.look()

    def _next(self, event: NewEvent) -> RawRecord:
        self.offset += 1
        return as_record(event, self.offset)


def a_world(
    database: Database, sender: ObedientSender, schedule: RetrySchedule, concurrency: int, seen_for_seconds: float
) -> NotificationWorld:
    endpoints = PostgresEndpoints(database, SecretBox(b"k" * 32))
    dispatcher = Dispatcher(
        PostgresClaims(database),
        PostgresResults(database, endpoints, schedule, jitter=lambda: 0.0),
        endpoints,
        sender,
        concurrency=concurrency,
        give_up_after_seconds=schedule.whole_seconds,
        seen_for_seconds=seen_for_seconds,
    )
    return NotificationWorld(
        database,
        sender,
        endpoints,
        PostgresDeliveryLog(database),
        dispatcher,
        ConsumerRunner(dispatch_consumer(TellAgency(LINKS), dispatcher), database),
        ConsumerRunner(partner_consumer(dispatcher), database),
    )


@asynccontextmanager
async def notification_world(
    new_database: NewDatabase,
    delays_seconds: Iterable[float] = STANDARD_DELAYS_SECONDS,
    concurrency: int = 4,
    copies: int = 1,
    seen_for_seconds: float = SEEN_FOR_SECONDS,
) -> AsyncIterator[list[NotificationWorld]]:
    """Copies of the service's parts over one fresh database, recording and seen, and with the first look taken."""
    dsn = await new_database()
    databases = [Database(dsn, "test") for _ in range(copies)]
    connection = await databases[0].dedicated()
    await migrate(connection, [RUNTIME_MIGRATIONS, MIGRATIONS])
    await connection.close()
    for database in databases:
        await database.connect()
    sender, schedule = ObedientSender(), RetrySchedule(tuple(delays_seconds))
    worlds = [a_world(database, sender, schedule, concurrency, seen_for_seconds) for database in databases]
    for world in worlds:
        await world.dispatcher.be_seen()
        await world.dispatcher.look()
        world.start()
    try:
        yield worlds
    finally:
        for world in worlds:
            await world.stop()
            await world.dispatcher.finish()
            await world.database.close()
