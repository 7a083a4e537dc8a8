"""Stopping an agency over HTTP, and what that concerns.  The mark and the keys end in one transaction."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.adapters.affected_referrals import page_of_affected
from ihala_referral.adapters.credential_rows import announce, keys_of_party
from ihala_referral.adapters.directory_store import read_partner
from ihala_referral.adapters.partner_writes import change_record
from ihala_referral.entrypoints.doors import Cursor, Limit, cursor_id, doors_of, page_of, party_id_of
from ihala_referral.handlers.revoke_credential import revoke_credential
from ihala_referral.handlers.stop_partner import CellNeverStops, StopPartner, resume_partner, stop_partner

router = APIRouter(prefix="/v1/partners/{partner_id}", tags=["access"])

_STOP = TypeAdapter(StopPartner)

Admin = Annotated[Principal, allow("admin")]


@router.post("/stop", openapi_extra=body_of(StopPartner))
async def stop(request: Request, partner_id: str, _principal: Admin) -> dict[str, Any]:
    """Nothing is asked of the agency or told to it any more, and its keys are revoked; again: the same answer.

    Open referrals that it holds are recalled and asked of the next agency within seconds.
    """
    doors = doors_of(request)
    reason = parse_body(_STOP, await request.body()).reason_code
    party_id, now = party_id_of(partner_id), doors.environment.clock.now()
    try:
        async with doors.database.transaction() as work:
            record = await change_record(work, party_id, lambda before: stop_partner(before, reason, now), now)
            if record is None:
                raise Problem.not_found()
            revoked = [revoke_credential(key, now) for key in await keys_of_party(work.conn, party_id)]
            for each in filter(None, revoked):
                await announce(work, each, now)
    except CellNeverStops:
        raise Problem.conflict("coordination-cell", "The coordination cell ends every chain.") from None
    return {
        **record.model_dump(mode="json", include={"partner_id", "stopped"}),
        "revoked_credentials": [each.credential_id for each in revoked if each],
    }


@router.post("/resume")
async def resume(request: Request, partner_id: str, _principal: Admin) -> dict[str, Any]:
    """The agency is asked again from now on; it needs new keys."""
    doors = doors_of(request)
    async with doors.database.transaction() as work:
        record = await change_record(work, party_id_of(partner_id), resume_partner, doors.environment.clock.now())
    if record is None:
        raise Problem.not_found()
    return record.model_dump(mode="json", include={"partner_id", "stopped"})


@router.get("/affected-referrals")
async def affected(
    request: Request,
    partner_id: str,
    _principal: Annotated[Principal, allow("admin", "protection")],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Every referral that the agency was ever asked for, whether or not it is stopped."""
    party_id = party_id_of(partner_id)
    async with doors_of(request).database.connection() as connection:
        if await read_partner(connection, party_id) is None:
            raise Problem.not_found()
        found = await page_of_affected(connection, party_id, cursor_id(cursor), limit + 1)
    return page_of(found, limit, "referral_id")
