"""What the databases and the broker of a system hold, as rows by id; never asked of a service."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from ihala_events.catalogue import INTAKE_ACCEPTED, INTAKE_REFUSED, RESPONSE_REFUSED
from ihala_events.topics import INTAKE_CASE, NOTIFICATION_DELIVERY, REFERRAL_LIFECYCLE, Topic, party_out
from ihala_runtime import unreadable
from support.databases import asked
from support.system import System

SERVICES = ("intake", "referral", "notification")
BETWEEN = (INTAKE_CASE, REFERRAL_LIFECYCLE, NOTIFICATION_DELIVERY)
REFERRAL_EVENTS = "ihala.referral."
ANSWERS = frozenset(kind.type for kind in (INTAKE_ACCEPTED, INTAKE_REFUSED, RESPONSE_REFUSED))
"""What a party finds on its topic beside copies: answers to what it wrote itself."""


@dataclass(frozen=True)
class Event:
    """As its service stored it.  says: the payload."""

    event_id: str
    aggregate_id: str
    sequence: int
    type: str
    topic: str
    headers: Mapping[str, str]
    says: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Without the words that all events of a referral share."""
        return self.type.removeprefix(REFERRAL_EVENTS).removesuffix(".v1")


@dataclass(frozen=True)
class Copy:
    """A record on an agency's own topic."""

    copy_id: str
    partner_id: str
    type: str
    body_id: str
    body_hash: str


@dataclass(frozen=True)
class Stored:
    """Keys are ids as texts; channels: of each agency, as notification knows them; dead: set aside for good."""

    cases: frozenset[str]
    requests: frozenset[str]
    referrals: Mapping[str, Any]
    attempts: Sequence[Any]
    addressees: Mapping[str, Any]
    events: Mapping[str, Event]
    deliveries: Sequence[Any]
    channels: Mapping[str, frozenset[str]]
    texts: Mapping[str, Any]
    dead: Sequence[Any]
    published: Mapping[str, Sequence[str]]
    copies: Sequence[Copy]

    def lives(self) -> Mapping[str, Sequence[Event]]:
        """The events of each referral, in order."""
        lives: dict[str, list[Event]] = defaultdict(list)
        for event in self.events.values():
            if event.topic == REFERRAL_LIFECYCLE.name:
                lives[event.aggregate_id].append(event)
        return {each: sorted(life, key=lambda event: event.sequence) for each, life in lives.items()}


async def stored_in(system: System) -> Stored:
    bootstrap = system.endpoints["kafka"]
    partners = await asked(system, "notification", "SELECT partner_id, channels FROM partner")
    channels = {row["partner_id"]: frozenset(row["channels"]) for row in partners}
    return Stored(
        cases=frozenset(row["case_ref"] for row in await asked(system, "intake", "SELECT case_ref FROM case_file")),
        requests=frozenset(row["key"] for row in await asked(system, "intake", "SELECT key FROM request")),
        referrals=await _by_id(
            system, "referral", "SELECT referral_id::text AS id, case_ref, state, partner_id, attempt_no FROM referral"
        ),
        attempts=await asked(
            system,
            "referral",
            "SELECT referral_id::text, attempt_no, tried, receipt_at IS NOT NULL AS has_receipt FROM attempt",
        ),
        addressees=await _by_id(system, "intake", "SELECT referral_id::text AS id, partner_id FROM addressee"),
        events={event.event_id: event for service in SERVICES for event in await _events(system, service)},
        deliveries=await asked(
            system,
            "notification",
            "SELECT delivery_id::text, event_id::text, event_type, referral_id::text, partner_id, attempt_no, channel,"
            " state, tries, position FROM delivery",
        ),
        channels=channels,
        texts=await _by_id(
            system,
            "notification",
            "SELECT message_id::text AS id, case_ref, message, state FROM person_message",
        ),
        dead=[
            row
            for service in SERVICES
            for row in await asked(
                system, service, "SELECT consumer, key, event_id, error_class FROM parked WHERE state = 'dead'"
            )
        ],
        published=await _published(bootstrap),
        copies=[
            copy for copy in map(_copy, await everything(bootstrap, topics_of(channels))) if copy.type not in ANSWERS
        ],
    )


async def _by_id(system: System, database: str, query: str) -> dict[str, Any]:
    return {row["id"]: row for row in await asked(system, database, query)}


async def _events(system: System, service: str) -> list[Event]:
    rows = await asked(
        system,
        service,
        "SELECT event_id::text, aggregate_id::text, sequence, type, topic, headers,"
        " CASE topic WHEN $1 THEN convert_from(payload, 'UTF8') ELSE '{}' END AS payload FROM event",
        REFERRAL_LIFECYCLE.name,
    )
    return [
        Event(
            row["event_id"],
            row["aggregate_id"],
            row["sequence"],
            row["type"],
            row["topic"],
            json.loads(row["headers"]),
            json.loads(row["payload"]),
        )
        for row in rows
    ]


async def _published(bootstrap: str) -> dict[str, list[str]]:
    """ce_id of every record of ours, by topic."""
    ids: dict[str, list[str]] = {topic.name: [] for topic in BETWEEN}
    for record in await everything(bootstrap):
        headers = dict(record.headers)
        if headers.get("ce_source", b"").startswith(b"/ihala/"):
            ids[record.topic].append(headers["ce_id"].decode())
    return ids


def topics_of(channels: Mapping[str, Collection[str]]) -> list[Topic]:
    return [party_out(partner_id) for partner_id, used in channels.items() if "kafka" in used]


def _copy(record: ConsumerRecord) -> Copy:
    headers = {name: value.decode() for name, value in record.headers}
    partner_id = record.topic.removeprefix("party.").removesuffix(".out.v1")
    body_id, digest = json.loads(record.value).get("id", ""), hashlib.sha256(record.value).hexdigest()
    return Copy(headers["ce_id"], partner_id, headers["ce_type"], body_id, digest)


async def everything(bootstrap: str, topics: Sequence[Topic] = BETWEEN) -> list[ConsumerRecord]:
    """Every record of these topics; by default of those between the services."""
    unreadable.prepare()  # poison lies there as well
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            taken = await consumer.getmany(timeout_ms=500)
            found += [record for records in taken.values() for record in records]
        return found
    finally:
        await consumer.stop()
