"""Data-sharing agreements over HTTP.  A change is one transaction over the records of all its parties."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from ihala_events.directory import PartnerRecord
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.postgres import Work
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.adapters.directory_store import lock_directory, read_partners
from ihala_referral.adapters.partner_writes import change_record
from ihala_referral.entrypoints.doors import Cursor, Doors, Limit, doors_of, page_of, party_id_of
from ihala_referral.handlers.agree import (
    PutAgreement,
    agree,
    agreement_problems,
    leave_agreement,
    overlapping,
    party_problems,
    shown_agreements,
)

router = APIRouter(prefix="/v1/agreements", tags=["directory"])

_PUT = TypeAdapter(PutAgreement)

Reader = Annotated[Principal, allow("protection", "operator", "admin", "desk")]
Protection = Annotated[Principal, allow("protection")]


@router.get("")
async def listed(request: Request, _principal: Reader, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """By id."""
    found = [each for each in await _all(doors_of(request)) if each["agreement_id"] > (cursor or "")]
    return page_of(found, limit, "agreement_id")


@router.get("/{agreement_id}")
async def one(request: Request, agreement_id: str, _principal: Reader) -> dict[str, Any]:
    return await _one(doors_of(request), party_id_of(agreement_id))


@router.put("/{agreement_id}", openapi_extra=body_of(PutAgreement))
async def put(request: Request, agreement_id: str, _principal: Protection) -> dict[str, Any]:
    """Enter an agreement or replace it; it counts from the next choice and the next disclosure on."""
    doors = doors_of(request)
    wanted = parse_body(_PUT, await request.body())
    async with doors.database.transaction() as work:
        await lock_directory(work.conn)
        records = {record.partner_id: record for record in await read_partners(work.conn)}
        _check(wanted, agreement_id, records)
        for party_id, record in records.items():
            if party_id in wanted.parties:
                await _change(doors, work, party_id, lambda before: agree(before, wanted.agreement))
            elif any(each.agreement_id == agreement_id for each in record.agreements):
                await _change(doors, work, party_id, lambda before: leave_agreement(before, agreement_id))
    return await _one(doors, agreement_id)


@router.delete("/{agreement_id}", status_code=204)
async def delete(request: Request, agreement_id: str, _principal: Protection) -> Response:
    """As if it had never been; one that ends is given its `until` instead."""
    doors = doors_of(request)
    parties = (await _one(doors, party_id_of(agreement_id)))["parties"]
    async with doors.database.transaction() as work:
        await lock_directory(work.conn)
        for party_id in parties:
            await _change(doors, work, party_id, lambda before: leave_agreement(before, agreement_id))
    return Response(status_code=204)


def _check(wanted: PutAgreement, agreement_id: str, records: dict[str, PartnerRecord]) -> None:
    """Raises Problem: 422 for what cannot be, 409 for what another agreement rules already."""
    problems = [FieldError(*each) for each in (*agreement_problems(wanted), *party_problems(wanted, records))]
    if wanted.agreement_id != agreement_id:
        problems.append(FieldError("/agreement_id", "not-this-one", "must be the one in the path"))
    if problems:
        raise Problem.invalid(problems)
    for party_id in wanted.parties:
        other = overlapping(records[party_id].agreements, wanted.agreement)
        if other is not None:
            detail = f"{party_id} has {other.agreement_id} about the same purpose at the same time."
            raise Problem.conflict("overlapping-agreement", detail, agreement_id=other.agreement_id)


async def _change(doors: Doors, work: Work, party_id: str, change: Any) -> None:
    await change_record(work, party_id, change, doors.environment.clock.now())


async def _all(doors: Doors) -> list[dict[str, Any]]:
    async with doors.database.connection() as connection:
        return shown_agreements(await read_partners(connection))


async def _one(doors: Doors, agreement_id: str) -> dict[str, Any]:
    found = [each for each in await _all(doors) if each["agreement_id"] == agreement_id]
    if not found:
        raise Problem.not_found()
    return found[0]
