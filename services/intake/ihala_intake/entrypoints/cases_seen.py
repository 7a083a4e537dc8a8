"""Which case a caller may see or change; another's is as if it were missing."""

from collections.abc import Sequence

from fastapi import Request
from ihala_events.access import Role
from ihala_runtime.access import Principal
from ihala_runtime.postgres import Database, Work
from ihala_runtime.problem import Problem

from ihala_intake.adapters import cases
from ihala_intake.adapters.case_in_hand import LockedCase
from ihala_intake.adapters.duplicates import Suspected
from ihala_intake.entrypoints.doors import Doors


def doors_of(request: Request) -> Doors:
    doors: Doors = request.app.state.doors
    return doors


def may_see(file: cases.CaseFile, principal: Principal) -> bool:
    if principal.role is Role.INTEGRATOR:
        return file.integrator_id is not None and file.integrator_id == principal.party_id
    return principal.role is Role.PROTECTION or file.desk_id in principal.desk_ids


async def file_in_sight(database: Database, case_ref: str, principal: Principal) -> cases.CaseFile:
    """The case as it stands, erased or not. Raises Problem (404)."""
    async with database.connection() as connection:
        file = await cases.find_case(connection, case_ref)
    if file is None or not may_see(file, principal):
        raise Problem.not_found()
    return file


async def case_in_sight(work: Work, case_ref: str, principal: Principal) -> LockedCase:
    """The case, its row locked, erased or not. Raises Problem (404)."""
    file = await cases.find_case(work.conn, case_ref, lock=True)
    if file is None or not may_see(file, principal):
        raise Problem.not_found()
    return LockedCase(work, file)


async def locked_case(work: Work, case_ref: str, principal: Principal) -> LockedCase:
    """The case, its row locked. Raises Problem: 404, or 409 when the person was erased."""
    case = await case_in_sight(work, case_ref, principal)
    if case.erased_at is not None:
        raise Problem.conflict("erased", "The person was erased: nothing of the case can change any more.")
    return case


def compared_in_sight(compared: Sequence[Suspected], principal: Principal) -> list[Suspected]:
    """The cases a held one was compared with, but never one of another desk: nobody learns who is known elsewhere."""
    return [each for each in compared if principal.role is Role.PROTECTION or each.desk_id in principal.desk_ids]
