"""The directory over HTTP.  Every change is one transaction with its event."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from ihala_events.directory import PartnerRecord
from ihala_events.partner import CapacityChanged, ClosuresChanged
from ihala_events.vocabulary import PartnerType
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.adapters.directory_store import lock_directory, page_of_partners, read_parents, read_partner
from ihala_referral.adapters.partner_writes import change_capacity, change_record, replace_record
from ihala_referral.domain.directory import directory_warnings
from ihala_referral.entrypoints.doors import Cursor, Limit, doors_of, page_of, party_id_of
from ihala_referral.handlers.announce_closures import announce_closures, closure_problems
from ihala_referral.handlers.publish_capacity import UnknownService, publish_capacity
from ihala_referral.handlers.register_partner import parent_problem, record_problems, second_cell

router = APIRouter(prefix="/v1/partners", tags=["directory"])


_RECORD = TypeAdapter(PartnerRecord)
_CAPACITY = TypeAdapter(CapacityChanged)
_CLOSURES = TypeAdapter(ClosuresChanged)

Reader = Annotated[Principal, allow("desk", "operator", "protection", "integrator", "agency", "admin")]
Operator = Annotated[Principal, allow("operator")]
OfItself = Annotated[Principal, allow("agency", "operator")]


@router.get("")
async def listed(
    request: Request,
    _principal: Reader,
    type: Annotated[PartnerType | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The agencies, by id."""
    async with doors_of(request).database.connection() as connection:
        found = await page_of_partners(connection, cursor or "", limit + 1, type)
    return page_of(found, limit, "partner_id")


@router.get(":lint")
async def linted(request: Request, _principal: Operator) -> dict[str, Any]:
    """Where a step of a rule has no agency for a commune, and where an urgent first step has none on call."""
    doors = doors_of(request)
    async with doors.database.connection() as connection:
        world = (await doors.environment.snapshot(connection)).world
    today = world.calendar.local_date(doors.environment.clock.now())
    return {"warnings": await asyncio.to_thread(directory_warnings, world.directory, world.rules, today)}


@router.get("/{partner_id}")
async def one(request: Request, partner_id: str, _principal: Reader) -> dict[str, Any]:
    async with doors_of(request).database.connection() as connection:
        return _shown(await read_partner(connection, party_id_of(partner_id)))


@router.put("/{partner_id}", openapi_extra=body_of(PartnerRecord))
async def put(request: Request, partner_id: str, _principal: Operator) -> dict[str, Any]:
    """Enter an agency, or replace its record; numbers of places that it does not name stay."""
    doors = doors_of(request)
    record = parse_body(_RECORD, await request.body())
    problems = [FieldError(*each) for each in record_problems(record)]
    if record.partner_id != partner_id:
        problems.append(FieldError("/partner_id", "not-this-one", "must be the one in the path"))
    if problems:
        raise Problem.invalid(problems)
    async with doors.database.transaction() as work:
        await lock_directory(work.conn)
        snapshot = await doors.environment.snapshot(work.conn)
        if second_cell(record, snapshot.world.directory):
            raise Problem.conflict("second-coordination-cell", "There is exactly one PT-COORD.")
        wrong = parent_problem(record, await read_parents(work.conn))
        if wrong is not None:
            raise Problem.invalid([FieldError(*wrong)])
        stored = await replace_record(work, record, doors.environment.clock.now())
        work.after_commit.append(doors.parties_changed.set)
    return stored.model_dump(mode="json")


@router.put("/{partner_id}/capacity", openapi_extra=body_of(CapacityChanged))
async def put_capacity(request: Request, partner_id: str, principal: OfItself) -> dict[str, Any]:
    """An agency's free places by need; null: unknown, not counted."""
    doors = doors_of(request)
    _check_own(principal, partner_id)
    places = parse_body(_CAPACITY, await request.body()).places
    try:
        async with doors.database.transaction() as work:
            now = doors.environment.clock.now()
            return _shown(await change_capacity(work, party_id_of(partner_id), places, publish_capacity, now))
    except UnknownService as unknown:
        pointer = f"/places/{unknown.need_code}"
        raise Problem.invalid([FieldError(pointer, "not-served", "this agency does not serve it")]) from None


@router.put("/{partner_id}/closures", openapi_extra=body_of(ClosuresChanged))
async def put_closures(request: Request, partner_id: str, principal: OfItself) -> dict[str, Any]:
    """When an agency is closed, all of it; whatever must be answered in that time goes to another."""
    doors = doors_of(request)
    _check_own(principal, partner_id)
    closures = parse_body(_CLOSURES, await request.body()).closures
    problems = [FieldError(*each) for each in closure_problems(closures)]
    if problems:
        raise Problem.invalid(problems)
    async with doors.database.transaction() as work:
        now = doors.environment.clock.now()
        return _shown(
            await change_record(work, party_id_of(partner_id), lambda record: announce_closures(record, closures), now)
        )


def _check_own(principal: Principal, partner_id: str) -> None:
    """An agency changes itself alone."""
    if principal.party_id not in (None, partner_id):
        raise Problem.not_found()


def _shown(record: PartnerRecord | None) -> dict[str, Any]:
    if record is None:
        raise Problem.not_found()
    return record.model_dump(mode="json")
