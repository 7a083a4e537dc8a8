"""Events of other services, for tests of one service alone: what Kafka would bring it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaProducer
from ihala_events.catalogue import EventType
from ihala_events.envelope import Envelope
from ihala_events.referral import ReferralEvent
from ihala_runtime.identifiers import uuid7
from pydantic import BaseModel

NOW = datetime(2026, 11, 16, 10, 15, tzinfo=UTC)


def a_referral_event(referral_id: UUID, case_id: UUID, case_ref: str, **changes: Any) -> ReferralEvent:
    """A maternal-care referral sent to ``essp-one``."""
    fields: dict[str, Any] = {
        "referral_id": referral_id,
        "case_id": case_id,
        "case_ref": case_ref,
        "need_id": uuid7(),
        "need_code": "HEA-MAT",
        "urgency": "U2",
        "state": "sent",
        "partner_id": "essp-one",
        "partner_type": "PT-ESSP",
        "attempt_no": 1,
        "rule_id": "R11",
        "row": "R11",
        "rule_set_version": "2026-11",
        "received_at": NOW,
        "sent_at": NOW,
        "ack_due": NOW + timedelta(days=1),
        "contact_due": NOW + timedelta(days=3),
        "actor": "system",
        "at": NOW,
    }
    return ReferralEvent(**{**fields, **changes})


async def publish(
    producer: AIOKafkaProducer,
    kind: EventType,
    payload: BaseModel | bytes,
    *,
    key: str,
    source: str,
    topic: str | None = None,
    event_id: str | None = None,
    sequence: int | None = None,
) -> str:
    """Write one event as its service would; its id."""
    envelope = Envelope(
        id=event_id or str(uuid7()), source=source, type=kind.type, time=datetime.now(UTC), sequence=sequence
    )
    value = payload if isinstance(payload, bytes) else payload.model_dump_json().encode()
    await producer.send_and_wait(topic or kind.topic.name, value, key.encode(), headers=envelope.headers())
    return envelope.id
