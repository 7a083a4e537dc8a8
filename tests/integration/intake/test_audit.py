"""The audit trail on PostgreSQL: every reading adds a row, and one row altered, deleted or moved is found (P20)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ihala_intake.adapters.audit_check import AuditCheck
from ihala_intake.domain.audit_chain import Break, Fault
from support.cases import a_case
from support.intake_service import Running


async def verify(intake: Running) -> dict[str, Any]:
    status, answer, _ = await intake.protection.call("GET", "/v1/audit/verify")
    assert status == 200
    return answer


@asynccontextmanager
async def tampered(intake: Running, *statements: str) -> AsyncIterator[None]:
    """Somebody with the database in hand; undone afterwards, for the other tests."""
    await AuditCheck(intake.database, intake.keys).anchor()  # before, or the service anchors what is tampered with
    async with intake.database.connection() as connection:
        await connection.execute("CREATE TABLE audit_before AS SELECT * FROM audit")
        for statement in statements:
            await connection.execute(statement)
        try:
            yield
        finally:
            await connection.execute("DELETE FROM audit")
            await connection.execute("INSERT INTO audit SELECT * FROM audit_before")
            await connection.execute("DROP TABLE audit_before")


async def read_three_times(intake: Running) -> int:
    """The id of the middle row."""
    case = await a_case(intake)
    for _ in range(3):
        await intake.desk.call("GET", f"/v1/cases/{case['case_ref']}")
    async with intake.database.connection() as connection:
        last: int = await connection.fetchval("SELECT max(id) FROM audit")
    return last - 1


async def test_a_trail_that_nobody_touched_holds(intake: Running) -> None:
    middle = await read_three_times(intake)

    answer = await verify(intake)

    assert (answer["holds"], answer["rows"], answer["broken"]) == (True, middle + 1, None)
    assert len(answer["head"]) == 64


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["UPDATE audit SET actor = 'desk:nobody' WHERE id = {row}"], "altered"),
        (["UPDATE audit SET at = at + interval '1 microsecond' WHERE id = {row}"], "altered"),
        (["DELETE FROM audit WHERE id = {row}"], "missing"),
        (
            [
                "UPDATE audit SET id = -1 WHERE id = {row}",
                "UPDATE audit SET id = {row} WHERE id = {row} + 1",
                "UPDATE audit SET id = {row} + 1 WHERE id = -1",
            ],
            "altered",
        ),
    ],
    ids=["altered", "altered by a microsecond", "deleted", "re-ordered"],
)
async def test_one_row_is_found(intake: Running, statements: list[str], fault: str) -> None:
    row = await read_three_times(intake)

    async with tampered(intake, *(each.format(row=row) for each in statements)):
        answer = await verify(intake)

    assert answer["holds"] is False
    assert answer["broken"] == {"row": row, "fault": fault}
    assert (await verify(intake))["holds"] is True


async def test_the_last_row_cannot_be_cut_off_once_it_is_anchored(intake: Running) -> None:
    last = await read_three_times(intake) + 1
    check = AuditCheck(intake.database, intake.keys)

    async with tampered(intake, f"DELETE FROM audit WHERE id = {last}"):
        found = await check.verify()

    assert found == Break(last, Fault.MISSING)


async def test_every_reading_and_change_of_a_person_s_data_adds_its_row(intake: Running) -> None:
    case = await a_case(intake)
    path = f"/v1/cases/{case['case_ref']}"
    await intake.desk.call("GET", path)
    await intake.desk.call("POST", f"{path}/corrections", {"phone": None})
    await intake.protection.page(f"{path}/export?lang=fr")
    await intake.protection.call("POST", f"{path}/erasure")

    async with intake.database.connection() as connection:
        rows = await connection.fetch("SELECT action FROM audit WHERE case_id = $1 ORDER BY id", case["case_id"])

    assert [row["action"] for row in rows] == ["case-read", "correction", "export", "erasure"]


async def test_only_protection_may_ask(intake: Running) -> None:
    assert (await intake.desk.call("GET", "/v1/audit/verify"))[0] == 403
