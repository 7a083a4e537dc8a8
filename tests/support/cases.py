"""Cases for tests of the running intake service: handed in by the desk, told of by the referral service."""

import json
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from ihala_events.catalogue import PARTNER_CHANGED, SENT
from ihala_events.directory import PartnerRecord
from support.events import a_referral_event, publish
from support.intake_service import Running
from support.intakes import an_intake
from support.runtime import raw_producer
from support.serving import Client


async def a_case(intake: Running, desk: Client | None = None, **changes: Any) -> dict[str, Any]:
    """The answer to a desk's intake."""
    status, answer, _ = await (desk or intake.desk).call(
        "POST", "/v1/intakes", an_intake(**changes), Idempotency_Key=str(uuid4())
    )
    assert status == 201, answer
    return answer


async def tell(intake: Running, case: dict[str, Any], referral_id: UUID, sequence: int = 1, **changes: Any) -> None:
    """An event of the referral service; ``kind`` is ``sent`` unless given."""
    kind = changes.pop("kind", SENT)
    event = a_referral_event(referral_id, UUID(case["case_id"]), case["case_ref"], **changes)
    async with raw_producer(intake.bootstrap) as producer:
        await publish(producer, kind, event, key=str(referral_id), source="/ihala/referral", sequence=sequence)


async def tell_directory(producer: AIOKafkaProducer, partner_id: str, **agreement: Any) -> None:
    """The record of a health centre with one agreement: about everything, all fields, unless told otherwise."""
    terms = {"agreement_id": "one", "purposes": ["HEA", "EDU", "SOC"], "since": "2026-01-01"}
    record = {
        "partner_id": partner_id,
        "type": "PT-ESSP",
        "names": {"fr": "Centre", "ar": "مركز", "en": "Centre"},
        "communes": ["AGD-AGADIR"],
        "need_codes": ["HEA-MAT"],
        "languages": ["fr"],
        "active_from": "2026-01-01",
        "agreements": [terms | agreement],
    }
    payload = PartnerRecord.model_validate_json(json.dumps(record))
    await publish(producer, PARTNER_CHANGED, payload, key=partner_id, source="/ihala/referral")
