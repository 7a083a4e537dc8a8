"""A case that may repeat another waits for a human; nothing is merged, no desk learns who is known elsewhere."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from ihala_events.intake import InformationGiven, IntakeRequest
from ihala_intake.adapters.duplicates import Claim, claim_and_compare
from ihala_intake.adapters.sealing import Sealer
from ihala_intake.domain.acceptance import NewCase, Policy, Submitter, Tally, accept, check
from ihala_intake.domain.duplicates import person_keys
from ihala_runtime.postgres import Work
from pydantic import TypeAdapter
from support.cases import a_case
from support.intake_service import Running
from support.intakes import a_person, an_intake
from support.names import an_invented_name
from support.waiting import wait_until


def an_aissatou(given: str, family: str, born: int, phone: str, **changes: Any) -> dict[str, Any]:
    names = [{"script": "Latn", "value": f"{given} {family}", "role": "full"}]
    return {"names": names, "birth_year": born, "age_band": "25-59", "phone": phone, **changes}


async def events_of(intake: Running, case: dict[str, Any]) -> list[asyncpg.Record]:
    async with intake.database.connection() as connection:
        return await connection.fetch(
            "SELECT type, payload FROM event WHERE aggregate_id = $1 ORDER BY sequence", case["case_id"]
        )


async def decide(intake: Running, case: dict[str, Any], **body: Any) -> tuple[int, dict[str, Any]]:
    path = f"/v1/cases/{case['case_ref']}/duplicate-decision"
    status, answer, _ = await intake.desk.call("POST", path, {"staff": "officer-9", **body})
    return status, answer


async def a_pair(intake: Running) -> tuple[dict[str, Any], dict[str, Any]]:
    person = a_person()
    return await a_case(intake, **person), await a_case(intake, **person)


async def test_the_same_woman_at_the_commune_and_at_an_association_is_held(intake: Running) -> None:
    phone = "+212600000008"

    first = await a_case(intake, **an_aissatou("Aïssatou", "Diallo", 1998, phone))
    second = await a_case(intake, **an_aissatou("Aisatu", "Jallow", 1997, phone))

    assert (first["state"], second["state"]) == ("submitted", "held")
    assert [event["type"] for event in await events_of(intake, second)] == ["ihala.intake.case-held.v1"]
    assert b'"duplicate_suspected":true' in (await events_of(intake, second))[0]["payload"]


async def test_the_answer_stays_held_when_the_request_is_repeated(intake: Running) -> None:
    person, key = a_person(), str(uuid4())
    await a_case(intake, **person)
    body = an_intake(**person)
    first = await intake.desk.call("POST", "/v1/intakes", body, Idempotency_Key=key)

    again = await intake.desk.call("POST", "/v1/intakes", body, Idempotency_Key=key)

    assert first[1]["state"] == "held"
    assert again[1] == first[1]
    assert again[2]["Idempotency-Replayed"] == "true"


async def test_an_integrator_is_not_told(intake: Running) -> None:
    person = a_person()
    await a_case(intake, **person)

    _, answer, _ = await intake.integrator.call(
        "POST", "/v1/intakes", an_intake(**person), Idempotency_Key=str(uuid4())
    )

    assert answer["state"] == "submitted"


async def test_of_two_that_come_at_the_same_time_one_is_held(intake: Running) -> None:
    person = a_person()

    cases = await asyncio.gather(*(a_case(intake, **person) for _ in range(8)))

    assert sorted(case["state"] for case in cases) == ["held"] * 7 + ["submitted"]


@pytest.mark.parametrize(
    "changes",
    [{"names": None, "phone": None}, {"sex": "M"}, {"birth_year": 1990}],
    ids=["neither name nor telephone", "another sex", "born years apart"],
)
async def test_who_cannot_be_the_same_is_not_held(intake: Running, changes: dict[str, Any]) -> None:
    person = {**a_person(), "birth_year": 1998, "age_band": "25-59"}
    await a_case(intake, **person)

    assert (await a_case(intake, **{**person, **changes}))["state"] == "submitted"


async def test_a_shared_handset_alone_holds_nobody(intake: Running) -> None:
    person = a_person()
    await a_case(intake, **person)

    assert (await a_case(intake, **{**person, "names": [an_invented_name()]}))["state"] == "submitted"


async def test_distinct_releases_the_case_and_a_repetition_changes_nothing(intake: Running) -> None:
    first, second = await a_pair(intake)

    status, answer = await decide(intake, second, decision="distinct", other_case_ref=first["case_ref"])
    again = await decide(intake, second, decision="distinct", other_case_ref=first["case_ref"])
    other = await decide(intake, second, decision="same_person", other_case_ref=first["case_ref"])

    assert (status, answer["released"]) == (200, True)
    assert again[0] == 200
    assert (other[0], other[1]["type"]) == (409, "urn:ihala:problem:not-held")
    _, released = await events_of(intake, second)
    assert released["type"] == "ihala.intake.case-released.v1"
    assert b'"decision":"distinct"' in released["payload"]
    _, seen, _ = await intake.desk.call("GET", f"/v1/cases/{second['case_ref']}")
    assert seen["state"] == "submitted"


async def test_the_same_person_is_linked_and_both_cases_stay(intake: Running) -> None:
    first, second = await a_pair(intake)

    await decide(intake, second, decision="same_person", other_case_ref=first["case_ref"])

    _, seen, _ = await intake.desk.call("GET", f"/v1/cases/{second['case_ref']}")
    assert seen["compared_with"] == [{"case_ref": first["case_ref"], "decision": "same_person"}]
    assert seen["person"] is not None
    assert b'"decision":"same_person"' in (await events_of(intake, second))[1]["payload"]
    async with intake.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM suspected_duplicate WHERE case_id = $1", second["case_id"])
    assert row is not None
    assert row["decided_at"] is not None
    assert "officer-9" not in str(row)


async def test_a_case_compared_with_several_waits_for_the_last(intake: Running) -> None:
    person = a_person()
    first, second, third = [await a_case(intake, **person) for _ in range(3)]

    one = await decide(intake, third, decision="distinct", other_case_ref=first["case_ref"])
    two = await decide(intake, third, decision="distinct", other_case_ref=second["case_ref"])

    assert (one[1]["released"], two[1]["released"]) == (False, True)


async def test_a_desk_does_not_learn_of_another_desk_s_case(intake: Running) -> None:
    person = a_person()
    elsewhere = await a_case(intake, intake.other_desk, desk_id="ngo-tiznit", **person)
    here = await a_case(intake, **person)

    _, seen, _ = await intake.desk.call("GET", f"/v1/cases/{here['case_ref']}")
    named = await decide(intake, here, decision="same_person", other_case_ref=elsewhere["case_ref"])
    missing = await decide(intake, here, decision="same_person", other_case_ref="AG-0000-0000")
    blind = await decide(intake, here, decision="distinct")

    assert (seen["state"], seen["compared_with"]) == ("held", [])
    assert named == missing
    assert named[1]["errors"][0]["code"] == "not-compared"
    assert (blind[0], blind[1]["released"]) == (200, True)


async def test_erasure_takes_away_what_finds_the_person(intake: Running) -> None:
    first, second = await a_pair(intake)

    await intake.protection.call("POST", f"/v1/cases/{first['case_ref']}/erasure")

    async with intake.database.connection() as connection:
        left = "SELECT count(*) FROM duplicate_key WHERE case_id = $1"
        assert await connection.fetchval(left, first["case_id"]) == 0
        assert (
            await connection.fetchval("SELECT count(*) FROM suspected_duplicate WHERE case_id = $1", second["case_id"])
            == 0
        )


async def test_a_corrected_name_is_found_by_its_new_spelling(intake: Running) -> None:
    wrong, right = a_person(), a_person()
    case = await a_case(intake, **wrong)
    await intake.desk.call(
        "POST", f"/v1/cases/{case['case_ref']}/corrections", {"names": right["names"], "phone": right["phone"]}
    )

    assert (await a_case(intake, **right))["state"] == "held"
    assert (await a_case(intake, **wrong))["state"] == "submitted"


async def test_nothing_of_the_name_or_telephone_stands_in_the_keys(intake: Running) -> None:
    case = await a_case(intake, **an_aissatou("Zéphyrine", "Canari", 1999, "+212600000009"))

    async with intake.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT duplicate_key::text AS text FROM duplicate_key WHERE case_id = $1", case["case_id"]
        )

    text = " ".join(row["text"] for row in rows).lower()
    assert rows
    assert [word for word in ("zephyrine", "zfrn", "canari", "600000009") if word in text] == []


async def test_two_copies_of_the_service_at_once_hold_the_later_one(intake: Running) -> None:
    person = a_person()
    first, second = a_new_case(person), a_new_case(person)
    async with intake.database.transaction() as one:
        assert await suspects(one, first) == {}
        later = asyncio.create_task(compared_alone(intake, second))
        await wait_until(lambda: somebody_waits(intake))

    assert await later == {second.case_id: {first.case_id}}


async def test_of_a_mixed_group_only_what_is_new_is_kept_and_compared(intake: Running) -> None:
    person = a_person()
    known, repeated, later = a_new_case(person), a_new_case(a_person()), a_new_case(person)
    tally = Tally(InformationGiven(date=date(2026, 11, 16), desk_id="baom-agadir", sectors=["HEA"]))
    async with intake.database.transaction() as work:
        await suspects(work, known)

        group = [a_claim(repeated, known), a_claim(later, later), Claim(("desk:test", "~ tally"), b"", {}, tally)]
        new, suspected = await claim_and_compare(work.conn, sorted(group, key=lambda each: each.key))

        kept = await work.conn.fetch("SELECT DISTINCT case_id FROM duplicate_key WHERE block = ANY($1)", blocks(group))
    assert new == {("desk:test", str(later.case_id)), ("desk:test", "~ tally")}
    assert suspected == {later.case_id: {known.case_id}}
    assert {row["case_id"] for row in kept} == {known.case_id, later.case_id}


def a_claim(case: NewCase, named_by: NewCase) -> Claim:
    """named_by: whose id is the idempotency key."""
    return Claim(("desk:test", str(named_by.case_id)), b"", {}, case)


def blocks(claims: list[Claim]) -> list[int]:
    return [block for claim in claims if claim.person for block in claim.person.blocks]


def a_new_case(person: dict[str, Any]) -> NewCase:
    intake = TypeAdapter(IntakeRequest).validate_python(an_intake(**person), strict=False)
    keys = person_keys(intake, intake.phone, Sealer(bytes(range(32))).person_key)
    submitter = Submitter("desk:test", frozenset({"baom-agadir"}))
    policy = Policy("AG", timedelta(), timedelta(), any_time=True, intake_url="", referral_url="")
    check(intake, submitter, policy, intake.received_at)
    case = accept(intake, submitter, policy, phone=intake.phone, household={}, person=keys)
    assert isinstance(case, NewCase)
    return case


async def compared_alone(intake: Running, case: NewCase) -> dict[UUID, set[UUID]]:
    async with intake.database.transaction() as work:
        return await suspects(work, case)


async def suspects(work: Work, case: NewCase) -> dict[UUID, set[UUID]]:
    claim = a_claim(case, case)
    new, suspected = await claim_and_compare(work.conn, [claim])
    assert new == {claim.key}
    return suspected


async def somebody_waits(intake: Running) -> bool:
    async with intake.database.connection() as connection:
        return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
