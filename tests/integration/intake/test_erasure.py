"""Erasure: the key is gone, the rows are blank, the others are told, and a restored copy is erased again."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.catalogue import CASE_ERASED, SUBJECT_ERASED
from ihala_events.intake import SubjectErased
from ihala_events.topics import INTAKE_ERASURE
from ihala_intake.adapters.erasure import Erasures
from ihala_intake.adapters.keys import CaseKeys
from ihala_runtime.erasure_ledger import ErasureLedger
from ihala_runtime.identifiers import uuid7
from ihala_runtime.kafka_address import KafkaAddress
from support.background import in_background
from support.cases import a_case, tell
from support.intake_service import Running
from support.runtime import nothing_to_publish
from support.waiting import wait_until


async def erase(intake: Running, case: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    status, answer, _ = await intake.protection.call("POST", f"/v1/cases/{case['case_ref']}/erasure")
    return status, answer


async def key_of(intake: Running, case: dict[str, Any]) -> bytes | None:
    async with intake.keys.connection() as connection:
        key: bytes | None = await connection.fetchval(
            "SELECT wrapped FROM case_key WHERE case_id = $1", case["case_id"]
        )
    return key


async def file_of(intake: Running, case: dict[str, Any]) -> asyncpg.Record:
    async with intake.database.connection() as connection:
        (file,) = await connection.fetch("SELECT * FROM case_file WHERE case_id = $1", case["case_id"])
    return file


async def events_of(intake: Running, case: dict[str, Any]) -> list[asyncpg.Record]:
    async with intake.database.connection() as connection:
        return await connection.fetch(
            "SELECT type, topic, payload FROM event WHERE aggregate_id = $1 ORDER BY sequence", case["case_id"]
        )


async def test_the_key_and_all_that_tells_of_the_person_are_gone(intake: Running) -> None:
    case = await a_case(intake)

    status, answer = await erase(intake, case)

    assert status == 200
    assert answer["case_ref"] == case["case_ref"]
    assert await key_of(intake, case) is None
    file = await file_of(intake, case)
    assert (file["sealed"], file["needs"]) == (b"", [])
    async with intake.database.connection() as connection:
        assert await connection.fetchval("SELECT scope FROM consent WHERE case_id = $1", case["case_id"]) == []
        answers = "SELECT answer->'needs' FROM request WHERE answer->>'case_id' = $1"
        assert await connection.fetchval(answers, case["case_id"]) == []
    _, seen, _ = await intake.desk.call("GET", f"/v1/cases/{case['case_ref']}")
    assert seen["person"] is None


async def test_the_others_are_told_the_ledger_remembers_and_old_events_say_nothing_any_more(intake: Running) -> None:
    case = await a_case(intake)

    await erase(intake, case)

    events = await events_of(intake, case)
    assert [event["type"] for event in events][1:] == [SUBJECT_ERASED.type, CASE_ERASED.type]
    assert events[2]["topic"] == INTAKE_ERASURE.name

    async def submitted_is_blank() -> bool:
        return bool((await events_of(intake, case))[0]["payload"] == f'{{"case_id": "{case["case_id"]}"}}'.encode())

    await wait_until(submitted_is_blank)


async def test_an_event_that_kafka_takes_after_the_erasure_came_back_is_blanked_then(intake: Running) -> None:
    case = await a_case(intake)
    await wait_until(lambda: nothing_to_publish(intake.database))
    (submitted,) = await events_of(intake, case)
    await hold_back(intake, case)
    await erase(intake, case)
    erasures = Erasures(intake.database, CaseKeys(intake.keys))

    await erasures.apply_again([as_told_by_the_ledger(case)])
    assert (await events_of(intake, case))[0]["payload"] == submitted["payload"]
    await let_go(intake, case)
    await erasures.apply_again([])

    assert (await events_of(intake, case))[0]["payload"] == f'{{"case_id": "{case["case_id"]}"}}'.encode()


async def test_erasing_again_changes_nothing(intake: Running) -> None:
    case = await a_case(intake)
    first = await erase(intake, case)

    again = await erase(intake, case)

    assert again == first
    assert len(await events_of(intake, case)) == 3


async def test_only_protection_may_erase_and_an_erased_case_takes_no_consent_any_more(intake: Running) -> None:
    case = await a_case(intake)

    assert (await intake.desk.call("POST", f"/v1/cases/{case['case_ref']}/erasure"))[0] == 403
    assert (await intake.protection.call("POST", "/v1/cases/AG-0000-0000/erasure"))[0] == 404
    await erase(intake, case)
    status, problem, _ = await intake.desk.call(
        "POST", f"/v1/cases/{case['case_ref']}/consent-withdrawal", {"staff": "officer-7"}
    )

    assert (status, problem["type"]) == (409, "urn:ihala:problem:erased")


async def test_nothing_is_learnt_anew_of_an_erased_case(intake: Running) -> None:
    case, referral_id, other = await a_case(intake), uuid7(), await a_case(intake)
    await erase(intake, case)

    await tell(intake, case, referral_id)
    await tell(intake, other, marker := uuid7())

    async def addressed(referral: UUID) -> bool:
        async with intake.database.connection() as connection:
            found = await connection.fetchval("SELECT true FROM addressee WHERE referral_id = $1", referral)
        return bool(found)

    await wait_until(lambda: addressed(marker))
    assert not await addressed(referral_id)


async def test_what_a_restored_dump_brings_back_is_erased_again_at_the_start(intake: Running) -> None:
    case = await a_case(intake)
    key, before = await key_of(intake, case), await file_of(intake, case)
    await erase(intake, case)
    await wait_until(lambda: nothing_to_publish(intake.database))
    await restore(intake, case, key, before)
    assert await key_of(intake, case) == key

    apply = Erasures(intake.database, CaseKeys(intake.keys)).apply_again
    ledger = ErasureLedger(KafkaAddress(intake.bootstrap), "test", apply)
    async with in_background(ledger.follow):
        await wait_until(lambda: is_erased(intake, case))

    assert await key_of(intake, case) is None
    assert [event["type"] for event in await events_of(intake, case)].count(SUBJECT_ERASED.type) == 2
    async with intake.database.connection() as connection:
        actors = await connection.fetch("SELECT actor FROM audit WHERE case_id = $1 ORDER BY id", case["case_id"])
    assert actors[-1]["actor"] == "system:erasure-ledger"


def as_told_by_the_ledger(case: dict[str, Any]) -> SubjectErased:
    return SubjectErased(case_id=case["case_id"], case_ref=case["case_ref"], erased_at=datetime.now(UTC))


async def hold_back(intake: Running, case: dict[str, Any]) -> None:
    """As if Kafka had not taken the case's first event yet."""
    async with intake.database.connection() as connection:
        await connection.execute(
            "INSERT INTO outbox_refused (id, event_id, topic, key, error_class, retry_at)"
            " SELECT 1, event_id, topic, key, 'test', 'infinity' FROM event WHERE aggregate_id = $1",
            case["case_id"],
        )


async def let_go(intake: Running, case: dict[str, Any]) -> None:
    async with intake.database.connection() as connection:
        await connection.execute("DELETE FROM outbox_refused WHERE key = $1", case["case_id"])


async def is_erased(intake: Running, case: dict[str, Any]) -> bool:
    file = await file_of(intake, case)
    return file["erased_at"] is not None and file["sealed"] == b"" and await key_of(intake, case) is None


async def restore(intake: Running, case: dict[str, Any], key: bytes | None, before: asyncpg.Record) -> None:
    """As a dump made before the erasure would: the key, the sealed file, the needs, and no word of an erasure."""
    async with intake.keys.connection() as connection:
        await connection.execute("INSERT INTO case_key (case_id, wrapped) VALUES ($1, $2)", case["case_id"], key)
    async with intake.database.connection() as connection:
        await connection.execute(
            "UPDATE case_file SET sealed = $2, needs = $3, erased_at = NULL WHERE case_id = $1",
            case["case_id"],
            before["sealed"],
            before["needs"],
        )
