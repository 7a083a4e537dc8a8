"""Pilot initiatives over HTTP.  Every change is one transaction with its event."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from ihala_events.directory import ProgrammeRecord
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.adapters.directory_store import lock_directory, read_partners
from ihala_referral.adapters.programme_rows import (
    delete_programme,
    page_of_programmes,
    put_programme,
    read_programme,
)
from ihala_referral.entrypoints.doors import Cursor, Doors, Limit, doors_of, page_of, party_id_of
from ihala_referral.handlers.offer_programme import programme_problems

router = APIRouter(prefix="/v1/programmes", tags=["directory"])

_RECORD = TypeAdapter(ProgrammeRecord)

Reader = Annotated[Principal, allow("desk", "operator", "protection", "integrator", "agency", "admin")]
Operator = Annotated[Principal, allow("operator")]


@router.get("")
async def listed(request: Request, _principal: Reader, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """By id.  free: places left, null where they are unlimited."""
    async with doors_of(request).database.connection() as connection:
        found = await page_of_programmes(connection, cursor or "", limit + 1)
    return page_of(found, limit, "programme_id")


@router.get("/{programme_id}")
async def one(request: Request, programme_id: str, _principal: Reader) -> dict[str, Any]:
    return await _one(doors_of(request), party_id_of(programme_id))


@router.put("/{programme_id}", openapi_extra=body_of(ProgrammeRecord))
async def put(request: Request, programme_id: str, _principal: Operator) -> dict[str, Any]:
    """Enter a programme or replace its record; places that are taken stay taken."""
    doors = doors_of(request)
    record = parse_body(_RECORD, await request.body())
    async with doors.database.transaction() as work:
        await lock_directory(work.conn)
        partners = {each.partner_id: each for each in await read_partners(work.conn)}
        problems = [FieldError(*each) for each in programme_problems(record, partners)]
        if record.programme_id != programme_id:
            problems.append(FieldError("/programme_id", "not-this-one", "must be the one in the path"))
        if problems:
            raise Problem.invalid(problems)
        await put_programme(work, record, doors.environment.clock.now())
    return await _one(doors, programme_id)


@router.delete("/{programme_id}", status_code=204)
async def delete(request: Request, programme_id: str, _principal: Operator) -> Response:
    """It is offered no more; referrals that were sent by it go on."""
    doors = doors_of(request)
    async with doors.database.transaction() as work:
        await lock_directory(work.conn)
        if not await delete_programme(work, party_id_of(programme_id), doors.environment.clock.now()):
            raise Problem.not_found()
    return Response(status_code=204)


async def _one(doors: Doors, programme_id: str) -> dict[str, Any]:
    async with doors.database.connection() as connection:
        found = await read_programme(connection, programme_id)
    if found is None:
        raise Problem.not_found()
    return found
