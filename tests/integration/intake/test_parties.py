"""An integrator's intake over Kafka: the same checks as over HTTP, answered on its own topic."""

import json
from typing import Any

from aiokafka import AIOKafkaConsumer
from ihala_events.catalogue import INTAKE_REQUESTED
from ihala_events.topics import party_in, party_out
from ihala_runtime.identifiers import uuid7
from support.events import publish
from support.intake_service import INTEGRATOR, Running
from support.intakes import an_intake
from support.runtime import raw_producer


def without_identity(**changes: Any) -> dict[str, Any]:
    needs = [{"need_code": "HEA-MAT", "facts": {"pregnancy_weeks": 30}}]
    return an_intake(**{"names": None, "phone": None, "needs": needs, **changes})


async def ask(intake: Running, body: Any, event_id: str | None = None, source: str | None = None) -> dict[str, Any]:
    """Publish a request as the integrator's own client would, and wait for the answer to it."""
    event_id = event_id or str(uuid7())
    consumer = AIOKafkaConsumer(
        party_out(INTEGRATOR).name, bootstrap_servers=intake.bootstrap, auto_offset_reset="latest"
    )
    await consumer.start()
    try:
        await consumer.seek_to_end()
        async with raw_producer(intake.bootstrap) as producer:
            await publish(
                producer,
                INTAKE_REQUESTED,
                body if isinstance(body, bytes) else json.dumps(body).encode(),
                key="k",
                source=source or f"/party/{INTEGRATOR}",
                topic=party_in(INTEGRATOR).name,
                event_id=event_id,
            )
        async for record in consumer:
            answer = json.loads(record.value)
            if answer["request_id"] == event_id:
                return {"type": dict(record.headers)["ce_type"].decode(), **answer}
    finally:
        await consumer.stop()
    raise AssertionError("no answer came")


async def test_an_intake_over_kafka_is_answered_like_one_over_http(intake: Running) -> None:
    answer = await ask(intake, without_identity())

    assert answer["type"] == "ihala.integration.intake-accepted.v1"
    assert answer["state"] == "submitted"
    status, case, _ = await intake.integrator.call("GET", f"/v1/cases/{answer['case_ref']}")
    assert (status, case["state"]) == (200, "submitted")


async def test_the_same_request_sent_again_gets_the_same_answer(intake: Running) -> None:
    event_id, body = str(uuid7()), without_identity()

    first = await ask(intake, body, event_id)
    again = await ask(intake, body, event_id)
    other = await ask(intake, without_identity(commune_code="AGD-DRARGUA"), event_id)

    assert again == first
    assert other["type"] == "ihala.integration.intake-refused.v1"
    assert other["reason"] == "idempotency-key-reused"


async def test_names_phone_and_note_are_refused_on_a_topic(intake: Running) -> None:
    answer = await ask(intake, an_intake())

    assert answer["reason"] == "identifying-data-on-topic"
    assert [error["pointer"] for error in answer["errors"]] == ["/names", "/phone", "/needs/0/note"]


async def test_wrong_fields_are_named_and_nothing_is_stored(intake: Running) -> None:
    answer = await ask(intake, without_identity(sex="Q", consent=None))

    assert answer["reason"] == "invalid-input"
    assert [(error["pointer"], error["code"]) for error in answer["errors"]] == [("/sex", "unknown-code")]
    assert answer.get("case_ref") is None


async def test_what_is_no_json_is_answered_too(intake: Running) -> None:
    answer = await ask(intake, b"{not json")

    assert answer["reason"] == "malformed-json"


async def test_a_sender_that_is_not_the_topics_party_is_refused(intake: Running) -> None:
    answer = await ask(intake, without_identity(), source="/party/somebody-else")

    assert answer["reason"] == "source-mismatch"


async def test_a_desk_the_party_does_not_work_for_is_refused(intake: Running) -> None:
    answer = await ask(intake, without_identity(desk_id="baom-elsewhere"))

    assert answer["reason"] == "not-your-desk"
