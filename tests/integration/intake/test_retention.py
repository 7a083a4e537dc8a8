"""Retention (P14): counted from the end of the last referral, a year to the key's end, two to the row's."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from ihala_events.catalogue import CLOSED, WITHDRAWN
from ihala_intake.adapters.keys import CaseKeys
from ihala_intake.adapters.retention import Retention
from ihala_intake.handlers.case_work import CaseInHand
from ihala_intake.handlers.erase_subject import EraseSubject
from ihala_intake.settings import IntakeSettings
from ihala_runtime.clock import ManualClock
from ihala_runtime.identifiers import uuid7
from pydantic import ValidationError
from support.cases import a_case, tell
from support.intake_service import Running
from support.intakes import a_person
from support.runtime import nothing_to_publish
from support.waiting import wait_until

ENDED = datetime(2026, 11, 23, 10, tzinfo=UTC)
YEAR = timedelta(days=365)
MINUTE = timedelta(minutes=1)


def retention_at(intake: Running, now: datetime) -> Retention:
    return Retention(intake.database, EraseSubject(CaseKeys(intake.keys)), ManualClock(now), YEAR, 2 * YEAR)


async def count(intake: Running, table: str, case: dict[str, Any], column: str = "case_id") -> int:
    async with (intake.keys if table == "case_key" else intake.database).connection() as connection:
        found: int = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", case["case_id"])
    return found


async def ended_referrals(intake: Running, case: dict[str, Any]) -> int:
    async with intake.database.connection() as connection:
        statement = "SELECT count(ended_at) FROM addressee WHERE case_id = $1"
        found: int = await connection.fetchval(statement, case["case_id"])
    return found


async def a_closed_case(intake: Running) -> dict[str, Any]:
    """Two referrals: one withdrawn an hour earlier, one closed at ENDED."""
    case = await a_case(intake, **a_person())
    await tell(intake, case, uuid7(), kind=WITHDRAWN, state="withdrawn", at=ENDED - timedelta(hours=1))
    await tell(intake, case, uuid7(), kind=CLOSED, state="closed", outcome_code="RECEIVED", at=ENDED)
    await wait_until(lambda: is_known(intake, case, 2))
    return case


async def is_known(intake: Running, case: dict[str, Any], referrals: int) -> bool:
    return await ended_referrals(intake, case) == referrals


async def test_a_year_after_the_last_referral_ended_the_key_goes_and_not_a_minute_before(intake: Running) -> None:
    case = await a_closed_case(intake)

    await retention_at(intake, ENDED + YEAR - MINUTE).apply()
    assert await count(intake, "case_key", case) == 1
    await retention_at(intake, ENDED + YEAR).apply()

    assert await count(intake, "case_key", case) == 0
    assert await count(intake, "case_file", case) == 1
    async with intake.database.connection() as connection:
        row = await connection.fetchrow("SELECT actor, action FROM audit WHERE case_id = $1", case["case_id"])
        types = await connection.fetch("SELECT type FROM event WHERE aggregate_id = $1", case["case_id"])
    assert row is not None
    assert tuple(row) == ("system:retention", "pseudonymisation")
    assert "ihala.intake.subject-erased.v1" in {each["type"] for each in types}


async def test_a_case_with_an_open_referral_keeps_its_person(intake: Running) -> None:
    case = await a_closed_case(intake)
    await tell(intake, case, open_referral := uuid7())
    await wait_until(lambda: is_addressed(intake, open_referral))

    await retention_at(intake, ENDED + 3 * YEAR).apply()

    assert await count(intake, "case_key", case) == 1


async def is_addressed(intake: Running, referral_id: Any) -> bool:
    async with intake.database.connection() as connection:
        return bool(await connection.fetchval("SELECT true FROM addressee WHERE referral_id = $1", referral_id))


async def test_two_years_after_nothing_is_left_but_the_audit_trail(intake: Running) -> None:
    case = await a_closed_case(intake)
    await retention_at(intake, ENDED + YEAR).apply()
    await wait_until(lambda: nothing_to_publish(intake.database))

    await retention_at(intake, ENDED + 2 * YEAR - MINUTE).apply()
    assert await count(intake, "case_file", case) == 1
    await retention_at(intake, ENDED + 2 * YEAR).apply()

    left = {table: await count(intake, table, case) for table in ("case_file", "consent", "addressee", "duplicate_key")}
    assert left == dict.fromkeys(left, 0)
    assert await count(intake, "event", case, "aggregate_id") == 0
    assert await count(intake, "audit", case) == 2
    assert (await intake.protection.call("GET", "/v1/audit/verify"))[1]["holds"] is True


@dataclass(frozen=True)
class FailsFor:
    """Erases every case but one."""

    erase: EraseSubject
    case_id: UUID

    async def __call__(self, case: CaseInHand, *arguments: Any, **named: Any) -> Any:
        if case.case_id == self.case_id:
            raise LookupError
        return await self.erase(case, *arguments, **named)


async def test_a_case_that_cannot_be_pseudonymised_holds_up_no_other(intake: Running) -> None:
    cases = [await a_closed_case(intake) for _ in range(3)]
    retention = retention_at(intake, ENDED + YEAR)
    stubborn = cast(EraseSubject, FailsFor(retention.erase_subject, UUID(cases[1]["case_id"])))

    await replace(retention, erase_subject=stubborn).apply()
    assert [await count(intake, "case_key", case) for case in cases] == [0, 1, 0]

    await retention.apply()
    assert await count(intake, "case_key", cases[1]) == 0


async def test_an_erased_case_is_deleted_as_the_others_are(intake: Running) -> None:
    case = await a_closed_case(intake)
    await intake.protection.call("POST", f"/v1/cases/{case['case_ref']}/erasure")
    await wait_until(lambda: nothing_to_publish(intake.database))

    await retention_at(intake, ENDED + 2 * YEAR).apply()

    assert await count(intake, "case_file", case) == 0


@pytest.mark.parametrize("periods", [{"delete_after": "P100D"}, {"pseudonymise_after": "P0D"}])
def test_periods_that_make_no_sense_stop_the_start(periods: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in periods.items():
        monkeypatch.setenv(f"IHALA_{name.upper()}", value)

    with pytest.raises(ValidationError, match="IHALA_DELETE_AFTER"):
        IntakeSettings(postgres_dsn="p", keys_dsn="k", kafka_bootstrap="b", kek_file=Path("kek"))
