"""Corrections: the changed fields alone, checked as in an intake, sealed again, and told without a value."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ihala_runtime.identifiers import uuid7
from support.cases import a_case, tell
from support.intake_service import Running

NEW_NAME = {"script": "Latn", "value": "Zephyrine Corrigée-Example", "role": "full"}


async def correct(intake: Running, case: dict[str, Any], body: Any) -> tuple[int, dict[str, Any]]:
    status, answer, _ = await intake.desk.call("POST", f"/v1/cases/{case['case_ref']}/corrections", body)
    return status, answer


async def person(intake: Running, case: dict[str, Any]) -> dict[str, Any]:
    _, answer, _ = await intake.desk.call("GET", f"/v1/cases/{case['case_ref']}")
    found: dict[str, Any] = answer["person"]
    return found


async def corrections_told(intake: Running, case: dict[str, Any]) -> list[bytes]:
    async with intake.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT payload FROM event WHERE aggregate_id = $1 AND type = 'ihala.intake.case-corrected.v1'",
            case["case_id"],
        )
    return [row["payload"] for row in rows]


async def test_the_changed_fields_are_kept_and_told_by_name_alone(intake: Running) -> None:
    case = await a_case(intake)

    status, answer = await correct(intake, case, {"names": [NEW_NAME], "phone": "0612345678"})

    assert (status, answer["fields"]) == (200, ["names", "phone"])
    now = await person(intake, case)
    assert (now["names"], now["phone"]) == ([NEW_NAME], "+212612345678")
    assert now["languages"][0]["tag"] == "wo"
    (told,) = await corrections_told(intake, case)
    assert b"Corrig" not in told
    assert b"612345678" not in told


async def test_what_routing_knew_of_the_person_is_told_as_it_reads_now_and_nothing_else(intake: Running) -> None:
    case = await a_case(intake)
    languages = [{"tag": "fr", "level": "good"}]
    contact = {"channel": "CALL", "language": "fr", "phone_shared": True}

    await correct(intake, case, {"languages": languages, "safe_contact": contact, "birth_year": 1998})

    (told,) = await corrections_told(intake, case)
    assert json.loads(told) == {
        "case_id": case["case_id"],
        "case_ref": case["case_ref"],
        "fields": ["birth_year", "languages", "safe_contact"],
        "language_tags": ["fr"],
        "interpreter_needed": None,
        "contact_channel": "CALL",
        "phone_shared": True,
    }


async def test_the_addressed_agency_reads_the_corrected_data(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id)

    await correct(intake, case, {"names": [NEW_NAME]})

    path = f"/v1/cases/{case['case_ref']}/disclosure?referral_id={referral_id}"
    _, read, _ = await intake.agency.call("GET", path)
    assert read["names"] == [NEW_NAME]


async def test_what_read_so_before_is_no_correction(intake: Running) -> None:
    case = await a_case(intake)

    status, answer = await correct(intake, case, {"interpreter_needed": False})

    assert (status, answer["fields"]) == (200, [])
    assert await corrections_told(intake, case) == []


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"birth_year": 1950}, "/birth_year", "does-not-fit"),
        ({"phone": "12345678"}, "/phone", "invalid-phone"),
        ({"languages": []}, "/languages", "too-few"),
        ({"languages": None}, "/languages", "wrong-type"),
        ({"safe_contact": {"channel": "PIGEON"}}, "/safe_contact/channel", "unknown-code"),
        ({"needs": []}, "/needs", "unknown-field"),
        ({}, "", "nothing-to-correct"),
    ],
)
async def test_a_correction_is_checked_as_an_intake_is(
    intake: Running, body: dict[str, Any], pointer: str, code: str
) -> None:
    case = await a_case(intake)

    status, problem = await correct(intake, case, body)

    assert status == 422
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert (await person(intake, case))["birth_year"] == datetime.now(UTC).year - 27


async def test_a_field_can_be_taken_away(intake: Running) -> None:
    case = await a_case(intake)

    await correct(intake, case, {"phone": None, "birth_year": None})

    now = await person(intake, case)
    assert (now["phone"], now["birth_year"]) == (None, None)


async def test_a_correction_is_written_down_and_another_desk_corrects_nothing(intake: Running) -> None:
    case = await a_case(intake)

    stranger = await intake.other_desk.call("POST", f"/v1/cases/{case['case_ref']}/corrections", {"names": []})
    await correct(intake, case, {"names": [NEW_NAME]})

    assert stranger[0] == 404
    async with intake.database.connection() as connection:
        actions = await connection.fetch("SELECT action FROM audit WHERE case_id = $1", case["case_id"])
    assert [row["action"] for row in actions] == ["correction"]


async def test_an_erased_case_cannot_be_corrected(intake: Running) -> None:
    case = await a_case(intake)
    await intake.protection.call("POST", f"/v1/cases/{case['case_ref']}/erasure")

    status, problem = await correct(intake, case, {"names": [NEW_NAME]})

    assert (status, problem["type"]) == (409, "urn:ihala:problem:erased")
