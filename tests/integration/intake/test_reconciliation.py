"""What intake waits for from the referral service, beside the routing: the end of what a consent carried."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from ihala_events.catalogue import CONSENT_WITHDRAWN, WITHDRAWN
from ihala_intake.adapters import reconciliation
from ihala_runtime.identifiers import uuid7
from ihala_runtime.reconciliation import Span
from support.cases import a_case, tell
from support.intake_service import Running
from support.intakes import a_person
from support.waiting import wait_until


@pytest.mark.parametrize("need_codes", [None, ["HEA-MAT"]])
async def test_a_withdrawn_consent_is_unanswered_until_its_referrals_have_ended(
    intake: Running, need_codes: list[str] | None
) -> None:
    case, referral_id = await an_addressed_case(intake)

    withdrawal = await withdrawn(intake, case, need_codes)

    assert withdrawal in await unanswered(intake)
    await tell(intake, case, referral_id, kind=WITHDRAWN, state="withdrawn", at=datetime.now(UTC), sequence=9)

    async def is_answered() -> bool:
        return withdrawal not in await unanswered(intake)

    await wait_until(is_answered)


async def test_a_referral_of_another_need_may_go_on(intake: Running) -> None:
    case, _ = await an_addressed_case(intake)

    withdrawal = await withdrawn(intake, case, ["EDU-ADL"])

    assert withdrawal not in await unanswered(intake)


async def test_every_need_is_counted_where_it_is(intake: Running) -> None:
    routed, _ = await an_addressed_case(intake)
    waiting, stuck = await a_case(intake, **a_person()), await a_case(intake, **a_person())
    async with intake.database.connection() as connection:
        now = await connection.fetchval("SELECT clock_timestamp()") - timedelta(
            days=1
        )  # when nothing else was accepted
        for case, seconds in ((routed, 70), (waiting, 59), (stuck, 61)):
            at = now - timedelta(seconds=seconds)
            await connection.execute("UPDATE event SET created_at = $1 WHERE key = $2", at, case["case_id"])

        counted = await reconciliation.NEEDS.by_place(connection, Span(now - timedelta(minutes=5), now))

    assert counted == {"routed": 1, "waiting": 1, "stuck": 1}


async def an_addressed_case(intake: Running) -> tuple[dict[str, Any], UUID]:
    """Of HEA-MAT, and its referral's id."""
    case, referral_id = await a_case(intake, **a_person()), uuid7()
    async with intake.database.connection() as connection:
        need_id = await connection.fetchval(
            "SELECT needs->0->>'need_id' FROM case_file WHERE case_id = $1", UUID(case["case_id"])
        )
        await tell(intake, case, referral_id, need_id=UUID(need_id))
        addressed = "SELECT true FROM addressee WHERE referral_id = $1"
        await wait_until(lambda: connection.fetchval(addressed, referral_id))
    return case, referral_id


async def withdrawn(intake: Running, case: dict[str, Any], need_codes: list[str] | None) -> UUID:
    """The event's id."""
    body = {"need_codes": need_codes, "staff": "officer-7"}
    status, answer, _ = await intake.desk.call("POST", f"/v1/cases/{case['case_ref']}/consent-withdrawal", body)
    assert status == 200, answer
    async with intake.database.connection() as connection:
        found: UUID = await connection.fetchval(
            "SELECT event_id FROM event WHERE key = $1 AND type = $2", case["case_id"], CONSENT_WITHDRAWN.type
        )
    return found


async def unanswered(intake: Running) -> list[UUID]:
    now = datetime.now(UTC)
    span = Span(now - timedelta(minutes=5), now + timedelta(minutes=5))
    async with intake.database.connection() as connection:
        return await reconciliation.WITHDRAWN.unanswered(connection, span, [])
