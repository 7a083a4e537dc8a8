"""Whole journeys on the shared system, with two copies of the referral service."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from ihala_events.catalogue import PARTNER_RESPONDED
from ihala_events.topics import party_in, party_out
from ihala_runtime.identifiers import uuid7
from support.events import publish
from support.people import People, intake_of, people_of
from support.runtime import raw_producer
from support.system import System
from support.waiting import wait_until


@pytest_asyncio.fixture
async def people(system: System) -> AsyncIterator[People]:
    async with people_of(system) as people:
        yield people


async def sent(people: People, **changes: Any) -> dict[str, Any]:
    """A referral of primary care that its agency has been told of."""
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **changes))
    (referral,) = await people.routed(case["case_ref"])
    await people.told(referral["referral_id"])
    return referral


def test_the_demo_shows_closed_referrals_verified_webhooks_and_one_trace(system: System) -> None:
    shown = system.ihala("demo")

    assert "closed" in shown
    assert "verified" in shown
    for service in ("ihala-intake", "ihala-referral", "ihala-notification"):
        assert service in shown


async def test_from_intake_to_outcome_in_one_trace(people: People) -> None:
    referral = await sent(people)
    agency, referral_id = referral["partner_id"], referral["referral_id"]

    disclosed, person, _ = await people.agency(agency, "intake").call(
        "GET", f"/v1/cases/{referral['case_ref']}/disclosure?referral_id={referral_id}"
    )
    for move in ("acknowledge", "accept", "start"):
        await people.move(agency, referral_id, move)
    await people.move(agency, referral_id, "close", {"outcome_code": "RECEIVED"})

    assert disclosed == 200
    assert person["need_code"] == "HEA-PHC"
    final = await people.referral(referral_id)
    assert (final["state"], final["outcome_code"]) == ("closed", "RECEIVED")
    trace = await wait_until(lambda: _services_of(people, final["trace_id"]), within_seconds=15)
    assert trace == {"ihala-intake", "ihala-referral", "ihala-notification"}


async def _services_of(people: People, trace_id: str) -> set[str] | None:
    async with people.session.get(f"{people.endpoints['traces']}/api/traces/{trace_id}") as answer:
        traces = (await answer.json())["data"] if answer.ok else []
    services = {process["serviceName"] for trace in traces for process in trace["processes"].values()}
    return services if len(services) == 3 else None


async def test_two_needs_give_two_referrals(people: People) -> None:
    intake = intake_of("HEA-PHC", "PT-ESSP")
    intake["needs"] = [{"need_code": "HEA-PHC"}, {"need_code": "EDU-ADL"}]
    intake["consent"]["scope"].append({"need_code": "EDU-ADL", "partner_types": ["PT-NGO-SOC"]})

    case = await people.hand_in(intake)
    referrals = await people.routed(case["case_ref"], count=2)

    assert {each["need_code"]: each["rule_id"] for each in referrals} == {"HEA-PHC": "R38", "EDU-ADL": "R24"}
    assert all(each["rule_set_version"] and each["explanation"] for each in referrals)


async def test_a_decline_asks_the_next_agency_of_the_chain_and_closes_the_door_to_the_first(people: People) -> None:
    referral = await sent(people)
    first, referral_id = referral["partner_id"], referral["referral_id"]

    await people.move(first, referral_id, "decline", {"reason_code": "CAPACITY"})
    after = await people.referral(referral_id)

    assert after["attempt_no"] == 2
    assert after["partner_id"] != first
    assert (await people.try_move(first, referral_id, "accept"))[0] == 409
    assert (await people.try_move(after["partner_id"], referral_id, "start"))[0] == 409


async def test_an_agency_cannot_tell_anothers_referral_from_a_missing_one(people: People) -> None:
    referral = await sent(people)
    stranger = people.agency(_another_than(people, referral["partner_id"]))

    foreign = await stranger.call("GET", f"/v1/referrals/{referral['referral_id']}")
    missing = await stranger.call("GET", f"/v1/referrals/{uuid7()}")

    assert foreign[0] == missing[0] == 404
    assert foreign[1] == missing[1]


def _another_than(people: People, partner_id: str) -> str:
    partners: dict[str, str] = people.endpoints["credentials"]["partners"]
    return next(each for each in partners if each != partner_id)


async def test_an_agency_answers_over_its_own_topic(people: People) -> None:
    referral = await sent(people)
    agency, referral_id = referral["partner_id"], referral["referral_id"]

    await answer_over_kafka(people, agency, {"referral_id": referral_id, "response": "accept"})

    async def accepted() -> bool:
        return bool((await people.referral(referral_id))["state"] == "accepted")

    await wait_until(accepted, within_seconds=20)


async def test_an_answer_for_anothers_referral_is_refused_with_a_reason(people: People) -> None:
    referral = await sent(people)
    stranger = _another_than(people, referral["partner_id"])
    consumer = AIOKafkaConsumer(party_out(stranger).name, bootstrap_servers=people.endpoints["kafka"])
    await consumer.start()
    await consumer.seek_to_end()

    request = await answer_over_kafka(people, stranger, {"referral_id": referral["referral_id"], "response": "accept"})
    record = await consumer.getone()
    await consumer.stop()

    refusal = json.loads(record.value)
    assert dict(record.headers)["ce_type"] == b"ihala.partner.response-refused.v1"
    assert refusal["request_id"] == request
    assert (await people.referral(referral["referral_id"]))["state"] == "sent"


async def answer_over_kafka(people: People, party_id: str, answer: dict[str, Any]) -> str:
    async with raw_producer(people.endpoints["kafka"]) as producer:
        return await publish(
            producer,
            PARTNER_RESPONDED,
            json.dumps(answer).encode(),
            key=answer["referral_id"],
            source=f"/party/{party_id}",
            topic=party_in(party_id).name,
        )


async def test_a_revoked_key_is_refused_within_seconds(people: People) -> None:
    admin = people.as_role("admin")
    _, made, _ = await admin.call(
        "POST", "/v1/credentials", {"role": "desk", "desk_ids": ["baom-agadir"], "label": "to be revoked"}
    )
    own = type(admin)(people.session, people.endpoints["intake"], made["key"])
    await wait_until(own.knows_key, within_seconds=10)

    status, _, _ = await admin.call("DELETE", f"/v1/credentials/{made['credential_id']}")
    assert status == 204

    async def refused() -> bool:
        return (await own.call("GET", "/v1/whoami"))[0] == 401

    await wait_until(refused, within_seconds=5)


async def test_without_consent_nobody_is_referred(people: People) -> None:
    answer = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", consent=None), key=str(uuid4()))

    assert answer["state"] == "information_only"
    assert answer["case_ref"] is None


async def test_a_withdrawn_consent_takes_the_referral_back(people: People) -> None:
    referral = await sent(people)
    desk = people.as_role("desk", "intake")

    status, _, _ = await desk.call(
        "POST", f"/v1/cases/{referral['case_ref']}/consent-withdrawal", {"staff": "officer-7"}
    )

    async def withdrawn() -> bool:
        return bool((await people.referral(referral["referral_id"]))["state"] == "withdrawn")

    assert status == 200
    await wait_until(withdrawn, within_seconds=20)
    assert (await people.try_move(referral["partner_id"], referral["referral_id"], "accept"))[0] in (404, 409)
