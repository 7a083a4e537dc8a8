"""The running referral service as tests see it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from ihala_events import catalogue
from ihala_events.catalogue import CASE_SUBMITTED, PARTNER_RESPONDED, EventType
from ihala_events.intake import RoutingProfile
from ihala_events.notification import DeliveryEvent
from ihala_events.topics import party_in, party_out
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database
from support.events import publish
from support.referral_units import a_profile
from support.referral_world import at
from support.serving import Client
from support.waiting import wait_until

CENTRE, WOMEN = "essp-agd-agadir", "ngo-wom"
NOW = "2026-11-16T10:15:00+00:00"


@dataclass
class Running:
    """The service, its database, its clock, and a client for each role that the tests play."""

    session: aiohttp.ClientSession
    base: str
    bootstrap: str
    database: Database
    clock_file: Path
    producer: AIOKafkaProducer
    admin: Client
    desk: Client
    other_desk: Client
    operator: Client
    protection: Client
    integrator: Client
    centre: Client
    women: Client
    nobody: Client

    def set_clock(self, instant: str) -> None:
        self.clock_file.write_text(json.dumps({"now": instant}), encoding="utf-8")

    async def tell(self, kind: EventType, payload: Any, case_id: UUID, event_id: str | None = None) -> str:
        """What the intake service would publish."""
        return await publish(self.producer, kind, payload, key=str(case_id), source="/ihala/intake", event_id=event_id)

    async def routed(self, *codes: str, **changes: Any) -> list[dict[str, Any]]:
        """The referrals of a new case as the desk sees them, by need code."""
        profile = a_profile(*codes, **changes)
        await self.tell(CASE_SUBMITTED, profile, profile.case_id)
        return await self.of_case(profile)

    async def of_case(self, profile: RoutingProfile) -> list[dict[str, Any]]:
        found = await wait_until(lambda: self.listed(profile.case_ref), what="the case is routed")
        return sorted(found, key=lambda each: str(each["need_code"]))

    async def listed(self, case_ref: str) -> list[dict[str, Any]]:
        _, page, _ = await self.protection.call("GET", f"/v1/referrals?case_ref={case_ref}")
        items: list[dict[str, Any]] = page["items"]
        return items

    async def seen(self, referral_id: str) -> dict[str, Any]:
        _, referral, _ = await self.protection.call("GET", f"/v1/referrals/{referral_id}")
        return referral

    async def happened(self, referral_id: str) -> list[str]:
        _, page, _ = await self.protection.call("GET", f"/v1/referrals/{referral_id}/timeline")
        return [item["type"].removeprefix("ihala.referral.").removesuffix(".v1") for item in page["items"]]


async def topics_of(referral: Running, party_id: str) -> None:
    partition = TopicPartition(party_out(party_id).name, 0)

    async def exist() -> bool:
        names = await referral.producer.client.fetch_all_metadata()
        return partition.topic in names.topics() and party_in(party_id).name in names.topics()

    await wait_until(exist, within_seconds=30)


async def answers(referral: Running, party_id: str, answer: dict[str, Any], source: str | None = None) -> str:
    await topics_of(referral, party_id)
    return await publish(
        referral.producer,
        PARTNER_RESPONDED,
        json.dumps(answer).encode(),
        key="k",
        source=source or f"/party/{party_id}",
        topic=party_in(party_id).name,
    )


async def refusal(referral: Running, party_id: str, request_id: str) -> dict[str, Any] | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=referral.bootstrap)
    await consumer.start()
    try:
        partition = TopicPartition(party_out(party_id).name, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        batch = await consumer.getmany(timeout_ms=1000)
        told = [json.loads(record.value) for records in batch.values() for record in records]
        return next((each for each in told if each.get("request_id") == request_id), None)
    finally:
        await consumer.stop()


async def receipt(
    referral: Running,
    made: dict[str, Any],
    became: catalogue.EventType,
    *,
    of: catalogue.EventType = catalogue.SENT,
    event_id: UUID | None = None,
) -> None:
    """What the notification service publishes of a message.  became: of it.  of, event_id: what it tells."""
    told = DeliveryEvent(
        delivery_id=uuid7(),
        event_id=event_id or uuid7(),
        event_type=of.type,
        referral_id=made["referral_id"],
        partner_id=made["partner_id"],
        attempt_no=1,
        channel="webhook",
        attempt=1,
        at=at("2026-11-16 10:21"),
    )
    await publish(referral.producer, became, told, key=made["referral_id"], source="/ihala/notification")


async def receipt_noted(referral: Running, made: dict[str, Any], *, tried: bool) -> None:
    """The receipt that the notification service would publish; returns when it is noted."""
    await receipt(referral, made, catalogue.ATTEMPT_FAILED if tried else catalogue.SUPPRESSED)
    async with referral.database.connection() as connection:
        await wait_until(
            lambda: connection.fetchval(
                "SELECT receipt_at IS NOT NULL AND tried = $2 FROM attempt WHERE referral_id = $1",
                made["referral_id"],
                tried,
            )
        )
