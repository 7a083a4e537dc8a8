"""POST /v1/intakes on the real service: what is stored, what is published, what is refused."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from ihala_runtime.postgres import Database
from support.intake_service import Running
from support.intakes import NAME, NOTE, PHONE, a_person, an_intake
from support.waiting import wait_until


async def submit(intake: Running, body: Any, key: str | None = None) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    return await intake.desk.call("POST", "/v1/intakes", body, Idempotency_Key=key or str(uuid4()))


async def rows(database: Database, statement: str, *values: Any) -> list[Any]:
    async with database.connection() as connection:
        return list(await connection.fetch(statement, *values))


async def counts(intake: Running) -> tuple[int, int, int]:
    (row,) = await rows(
        intake.database,
        "SELECT (SELECT count(*) FROM case_file) AS cases, (SELECT count(*) FROM request) AS requests,"
        " (SELECT count(*) FROM event) AS events",
    )
    return row["cases"], row["requests"], row["events"]


async def test_an_intake_is_answered_once_it_is_stored_and_its_event_names_nobody(intake: Running) -> None:
    status, answer, _ = await submit(intake, an_intake(**a_person()))

    assert status == 201
    assert answer["state"] == "submitted"
    assert [need["need_code"] for need in answer["needs"]] == ["HEA-MAT"]
    (event,) = await rows(intake.database, "SELECT * FROM event WHERE key = $1", answer["case_id"])
    assert event["type"] == "ihala.intake.case-submitted.v1"
    profile = json.loads(event["payload"])
    assert profile["case_ref"] == answer["case_ref"]
    assert profile["needs"][0]["facts"]["pregnancy_weeks"] == 30
    stored = bytes(event["payload"]) + json.dumps(event["headers"]).encode()
    for secret in (NAME, PHONE, NOTE, "officer-7"):
        assert secret.encode() not in stored
        assert json.dumps(secret)[1:-1].encode() not in stored
    assert not profile.keys() & {"names", "phone", "birth_year", "country", "staff"}


async def test_two_needs_and_two_scope_entries_come_back_as_they_were_given(intake: Running) -> None:
    needs = [{"need_code": "HEA-PHC"}, {"need_code": "EDU-ADL"}]
    scope = [{"need_code": need["need_code"], "partner_types": ["PT-ESSP"]} for need in needs]
    consent = {**an_intake()["consent"], "scope": scope}

    _, answer, _ = await submit(intake, an_intake(needs=needs, consent=consent))
    _, case, _ = await intake.desk.call("GET", f"/v1/cases/{answer['case_ref']}")

    assert [need["need_code"] for need in case["needs"]] == ["HEA-PHC", "EDU-ADL"]
    assert [entry["need_code"] for entry in case["consent"]["scope"]] == ["HEA-PHC", "EDU-ADL"]


async def test_the_persons_data_stand_nowhere_in_plain_text(intake: Running) -> None:
    _, answer, _ = await submit(intake, an_intake())

    (case,) = await rows(intake.database, "SELECT * FROM case_file WHERE case_ref = $1", answer["case_ref"])

    assert PHONE.encode() not in bytes(case["sealed"])
    assert NAME.encode() not in bytes(case["sealed"])
    (key,) = await rows(intake.keys, "SELECT wrapped FROM case_key WHERE case_id = $1", case["case_id"])
    assert len(key["wrapped"]) == 1 + 12 + 32 + 16  # version, nonce, key, tag


async def test_the_same_key_and_body_give_the_same_answer_and_another_body_is_refused(intake: Running) -> None:
    body, key = an_intake(), str(uuid4())

    first = await submit(intake, body, key)
    again = await submit(intake, body, key)
    other = await submit(intake, {**body, "commune_code": "AGD-DRARGUA"}, key)

    assert again[0] == 201
    assert again[1] == first[1]
    assert again[2]["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first[2]
    assert other[0] == 409
    assert other[1]["type"].endswith("idempotency-key-reused")


async def test_a_hundred_simultaneous_repetitions_make_one_case(intake: Running) -> None:
    body, key = an_intake(), str(uuid4())
    before = await counts(intake)

    answers = await asyncio.gather(*(submit(intake, body, key) for _ in range(100)))

    assert {status for status, _, _ in answers} == {201}
    assert len({answer["case_ref"] for _, answer, _ in answers}) == 1
    after = await counts(intake)
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


async def size(database: Database, table: str) -> int:
    (found,) = await rows(database, f"SELECT count(*) FROM {table}")
    return int(found[0])


async def test_without_consent_only_an_anonymous_tally_is_left(intake: Running) -> None:
    before = await counts(intake)
    keys_before = [await size(intake.keys, "case_key"), await size(intake.database, "duplicate_key")]

    status, answer, _ = await submit(intake, an_intake(consent=None))

    assert status == 201
    assert answer["state"] == "information_only"
    assert answer["case_ref"] is None
    assert answer["needs"] == []
    after = await counts(intake)
    assert after[0] == before[0]
    (event,) = await rows(
        intake.database,
        "SELECT * FROM event WHERE type = 'ihala.intake.information-given.v1' ORDER BY created_at DESC LIMIT 1",
    )
    assert json.loads(event["payload"]).keys() == {"date", "desk_id", "sectors"}
    assert json.loads(event["payload"])["sectors"] == ["HEA"]
    assert "traceparent" not in event["headers"]
    (request,) = await rows(intake.database, "SELECT answer FROM request ORDER BY created_at DESC LIMIT 1")
    assert request["answer"]["case_id"] is None
    assert [await size(intake.keys, "case_key"), await size(intake.database, "duplicate_key")] == keys_before


def a_need(code: str, **parts: Any) -> dict[str, Any]:
    return {"needs": [{"need_code": code, **parts}]}


REFUSED = [
    ({"commune_code": "AGD-NOWHERE"}, "/commune_code", "unknown-code"),
    ({"age_band": "7-9"}, "/age_band", "unknown-code"),
    ({"favourite_colour": "secret-value"}, "/favourite_colour", "unknown-field"),
    ({"languages": []}, "/languages", "too-few"),
    ({"birth_year": 1950}, "/birth_year", "does-not-fit"),
    ({"received_at": "2026-01-01T00:00:00"}, "/received_at", "no-offset"),
    ({"received_at": "2020-01-01T00:00:00Z", "birth_year": None}, "/received_at", "too-old"),
    ({"phone": "12345678"}, "/phone", "invalid-phone"),
    ({"staff": ["a", "a"]}, "/staff", "duplicate"),
    ({"needs": [{"need_code": "HEA-MAT"}, {"need_code": "HEA-MAT"}]}, "/needs/1/need_code", "duplicate"),
    (
        {"needs": [{"need_code": "HEA-PHC", "facts": {"pregnancy_weeks": 3}}]},
        "/needs/0/facts/pregnancy_weeks",
        "unknown-field",
    ),
    (
        {"needs": [{"need_code": "HEA-MAT", "facts": {"pregnancy_weeks": 99}}]},
        "/needs/0/facts/pregnancy_weeks",
        "out-of-range",
    ),
    ({"needs": [{"need_code": "HEA-MAT", "note": "appeler le 06 12 34 56 78"}]}, "/needs/0/note", "identifying-note"),
    ({"needs": [{"need_code": "HEA-MAT", "note": "carte AB123456"}]}, "/needs/0/note", "identifying-note"),
    ({"needs": [{"need_code": "HEA-MAT", "note": "x" * 281}]}, "/needs/0/note", "too-long"),
    ({"needs": [{"need_code": "HEA-MAT", "note": "nul \u0000"}]}, "/needs/0/note", "not-allowed"),
    ({"age_band": "16-17", "birth_year": None}, "/consent/basis", "minor"),
    ({"household": [{"case_ref": "AG-0000-0000", "relation": "CHILD"}]}, "/household/0/case_ref", "unknown-case"),
]


@pytest.mark.parametrize(("change", "pointer", "code"), REFUSED, ids=[row[1] + row[2] for row in REFUSED])
async def test_each_wrong_field_is_named_and_no_value_repeated(
    intake: Running, change: dict[str, Any], pointer: str, code: str
) -> None:
    before = await counts(intake)

    status, answer, headers = await submit(intake, an_intake(**change))

    assert status == 422
    assert headers["Content-Type"] == "application/problem+json"
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in answer["errors"]]
    for value in ("secret-value", "AGD-NOWHERE", "12345678", "06 12", "AB123456"):
        assert value not in json.dumps(answer)
    assert await counts(intake) == before


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"desk_id": "\xff"}', 400),
        (b'{"desk_id": "\\ud800"}', 422),
        (b'{"needs": [{"note": "\\udc00"}], "\\ud83d": 1}', 422),
        (b'{"desk_id": "\\ud800', 400),
        (b"[" * 60_000, 400),
        (b'{"desk_id": "' + b"x" * 70_000 + b'"}', 413),
        (b"null", 422),
        (b"[]", 422),
        (b'{"desk_id": NaN}', 422),
    ],
)
async def test_what_is_no_json_object_of_a_decent_size_is_refused(intake: Running, raw: bytes, status: int) -> None:
    before = await counts(intake)

    answered, problem, _ = await intake.desk.call("POST", "/v1/intakes", raw=raw, Idempotency_Key=str(uuid4()))

    assert answered == status
    assert problem["status"] == status
    assert await counts(intake) == before


@pytest.mark.parametrize("path", ["/v1/cases/AG%00", "/v1/cases/AG-7K3F-9QX2?x=%00", "/v1/cases/%FF"])
async def test_an_address_that_holds_no_text_is_refused(intake: Running, path: str) -> None:
    status, problem, _ = await intake.desk.call("GET", path)

    assert status in (400, 404)
    assert problem["status"] == status


async def test_a_key_is_needed_and_must_fit_the_desk(intake: Running) -> None:
    anonymous = await intake.nobody.call("POST", "/v1/intakes", an_intake(), Idempotency_Key="k")
    agency = await intake.agency.call("POST", "/v1/intakes", an_intake(), Idempotency_Key="k")
    elsewhere = await submit(intake, an_intake(desk_id="baom-elsewhere"))
    without_key = await intake.desk.call("POST", "/v1/intakes", an_intake())

    assert [anonymous[0], agency[0], elsewhere[0], without_key[0]] == [401, 403, 403, 400]


async def test_validating_names_what_is_wrong_and_stores_nothing(intake: Running) -> None:
    before = await counts(intake)

    good = await intake.desk.call("POST", "/v1/intakes:validate", an_intake())
    bad = await intake.desk.call("POST", "/v1/intakes:validate", an_intake(sex="Q"))

    assert good[0] == 200
    assert bad[0] == 422
    assert await counts(intake) == before


async def test_every_accepted_intake_reaches_kafka(intake: Running) -> None:
    await asyncio.gather(*(submit(intake, an_intake()) for _ in range(50)))

    async def outbox_is_empty() -> bool:
        (row,) = await rows(intake.database, "SELECT count(*) AS left FROM outbox")
        return bool(row["left"] == 0)

    await wait_until(outbox_is_empty, within_seconds=20)
