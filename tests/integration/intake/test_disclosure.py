"""Who may read a person's details: the agency addressed now, while consent holds, each time written down."""

import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from ihala_events.catalogue import DECLINED, HANDED_OVER, HANDOVER_ACCEPTED, HANDOVER_PROPOSED
from ihala_runtime.identifiers import uuid7
from support.cases import a_case, tell, tell_directory
from support.intake_service import Running
from support.intakes import NAME, NOTE, PHONE, a_person, an_intake
from support.runtime import raw_producer
from support.waiting import wait_until


def path(case: dict[str, Any], referral_id: UUID) -> str:
    return f"/v1/cases/{case['case_ref']}/disclosure?referral_id={referral_id}"


async def test_the_addressed_agency_reads_what_it_needs_and_the_reading_is_written_down(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id)

    status, person, headers = await intake.agency.call("GET", path(case, referral_id))

    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    assert person["names"][0]["value"] == NAME
    assert person["phone"] == PHONE
    assert person["note"] == NOTE
    assert person["facts"]["pregnancy_weeks"] == 30
    assert "country" not in person
    async with intake.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM audit WHERE referral_id = $1", referral_id)
    assert row is not None
    assert row["actor"] == "partner:essp-one"


async def test_the_agreement_of_the_agency_limits_what_it_reads_and_its_end_ends_it(intake: Running) -> None:
    case, referral_id = await a_case(intake, **a_person()), uuid7()
    await tell(intake, case, referral_id, partner_id="essp-two")
    async with raw_producer(intake.bootstrap) as producer:
        await tell_directory(producer, "essp-two", fields=["names", "age_band"])

        async def limited() -> dict[str, Any] | None:
            status, person, _ = await intake.other_agency.call("GET", path(case, referral_id))
            return person if status == 200 and person["withheld"] else None

        person = await wait_until(limited, 20)
        assert (bool(person["names"]), person["age_band"], person["phone"]) == (True, "25-59", None)

        await tell_directory(producer, "essp-two", until="2026-01-02")

        async def answered(status: int) -> bool:
            return (await intake.other_agency.call("GET", path(case, referral_id)))[0] == status

        await wait_until(lambda: answered(404), 30)
        await tell_directory(producer, "essp-two")
        await wait_until(lambda: answered(200), 30)


async def test_another_agency_and_a_desk_read_nothing(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id)

    stranger = await intake.other_agency.call("GET", path(case, referral_id))
    missing = await intake.other_agency.call("GET", path(case, uuid7()))
    desk = await intake.desk.call("GET", path(case, referral_id))

    assert stranger[0] == missing[0] == 404
    assert stranger[1] == missing[1]
    assert desk[0] == 403


async def test_a_call_that_comes_before_the_event_waits_for_it(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    started = time.monotonic()

    early = await intake.agency.call("GET", path(case, referral_id))

    assert early[0] == 404
    assert time.monotonic() - started >= 2.0


async def test_the_agency_that_declined_reads_nothing_any_more_even_if_events_come_late(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id, 1)
    await intake.agency.call("GET", path(case, referral_id))
    await tell(intake, case, referral_id, 3, kind=DECLINED)
    await tell(intake, case, referral_id, 2)

    async def refused() -> bool:
        return (await intake.agency.call("GET", path(case, referral_id)))[0] == 404

    await wait_until(refused, 20)


async def test_a_handover_that_is_only_proposed_opens_nothing_and_one_that_is_accepted_ends_the_givers_access(
    intake: Running,
) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id, 1)
    to = {"partner_id": "essp-two", "partner_type": "PT-ESSP", "attempt_no": 2, "state": "accepted"}
    await tell(intake, case, referral_id, 2, kind=HANDOVER_PROPOSED, **to)
    giver, receiver = (
        await intake.agency.call("GET", path(case, referral_id)),
        await intake.other_agency.call("GET", path(case, referral_id)),
    )
    await tell(intake, case, referral_id, 3, kind=HANDED_OVER, state="accepted")
    await tell(intake, case, referral_id, 4, kind=HANDOVER_ACCEPTED, **to)

    async def receiver_reads() -> bool:
        return (await intake.other_agency.call("GET", path(case, referral_id)))[0] == 200

    await wait_until(receiver_reads, 20)
    assert (giver[0], receiver[0]) == (200, 404)
    assert (await intake.agency.call("GET", path(case, referral_id)))[0] == 404


@pytest.mark.parametrize("need_codes", [None, ["HEA-MAT"]])
async def test_nothing_is_disclosed_once_consent_is_withdrawn(intake: Running, need_codes: list[str] | None) -> None:
    case, referral_id = await a_case(intake, **a_person()), uuid7()
    await tell(intake, case, referral_id)
    assert (await intake.agency.call("GET", path(case, referral_id)))[0] == 200

    withdrawal = {"need_codes": need_codes, "staff": "officer-7"}
    status, _, _ = await intake.desk.call("POST", f"/v1/cases/{case['case_ref']}/consent-withdrawal", withdrawal)

    assert status == 200
    assert (await intake.agency.call("GET", path(case, referral_id)))[0] == 404
    async with intake.database.connection() as connection:
        types = await connection.fetch("SELECT type FROM event WHERE key = $1 ORDER BY sequence", case["case_id"])
    assert [row["type"] for row in types] == ["ihala.intake.case-submitted.v1", "ihala.intake.consent-withdrawn.v1"]


@pytest.mark.parametrize("channel", ["NONE", "RELAY"])
async def test_a_person_who_may_not_be_called_keeps_the_number_to_herself(intake: Running, channel: str) -> None:
    case, referral_id = await a_case(intake, safe_contact={"channel": channel}), uuid7()
    await tell(intake, case, referral_id)

    _, person, _ = await intake.agency.call("GET", path(case, referral_id))

    assert person["phone"] is None
    assert person["safe_contact"]["channel"] == channel


async def test_coordination_reads_details_only_where_the_consent_names_it(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id, partner_type="PT-COORD")

    assert (await intake.agency.call("GET", path(case, referral_id)))[0] == 404


async def test_a_desk_sees_its_own_case_and_an_integrator_only_what_it_sent(intake: Running) -> None:
    case = await a_case(intake)
    _, sent, _ = await intake.integrator.call("POST", "/v1/intakes", an_intake(), Idempotency_Key=str(uuid4()))

    desk = await intake.desk.call("GET", f"/v1/cases/{case['case_ref']}")
    own = await intake.integrator.call("GET", f"/v1/cases/{sent['case_ref']}")
    foreign = await intake.integrator.call("GET", f"/v1/cases/{case['case_ref']}")
    agency = await intake.agency.call("GET", f"/v1/cases/{case['case_ref']}")

    assert desk[1]["person"]["names"][0]["value"] == NAME
    assert own[1] == {"case_ref": sent["case_ref"], "state": "submitted"}
    assert foreign[0] == 404
    assert agency[0] == 403


async def test_a_new_consent_replaces_the_old_one(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id)
    withdrawal = {"staff": "officer-7"}
    await intake.desk.call("POST", f"/v1/cases/{case['case_ref']}/consent-withdrawal", withdrawal)
    assert (await intake.agency.call("GET", path(case, referral_id)))[0] == 404

    consent = an_intake()["consent"]
    status, _, _ = await intake.desk.call("POST", f"/v1/cases/{case['case_ref']}/consents", consent)

    assert status == 201
    assert (await intake.agency.call("GET", path(case, referral_id)))[0] == 200
