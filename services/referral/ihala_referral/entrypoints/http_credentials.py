"""Keys over HTTP, for the admin alone."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from ihala_events.access import Role
from ihala_runtime.access import Principal, allow, key_hash, new_key
from ihala_runtime.http import body_of
from ihala_runtime.postgres import Work
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.adapters.credential_rows import announce, find_credential, page_of_credentials
from ihala_referral.adapters.directory_store import hold_partner
from ihala_referral.entrypoints.doors import Cursor, Limit, doors_of, page_of, party_id_of
from ihala_referral.handlers.issue_credential import NewCredential, credential_problems, issue_credential
from ihala_referral.handlers.revoke_credential import revoke_credential

router = APIRouter(prefix="/v1/credentials", tags=["access"])

_NEW = TypeAdapter(NewCredential)

Admin = Annotated[Principal, allow("admin")]


@router.post("", status_code=201, openapi_extra=body_of(NewCredential))
async def create(request: Request, _principal: Admin) -> dict[str, str]:
    """The key is told in this answer and never again."""
    doors = doors_of(request)
    wanted = parse_body(_NEW, await request.body())
    problems = [FieldError(*each) for each in credential_problems(wanted)]
    if problems:
        raise Problem.invalid(problems)
    credential_id, key = new_key()
    now = doors.environment.clock.now()
    async with doors.database.transaction() as work:
        await _check_party(work, wanted)
        await announce(work, issue_credential(wanted, credential_id, key_hash(key), now), now)
        work.after_commit.append(doors.parties_changed.set)
    return {"credential_id": credential_id, "key": key}


async def _check_party(work: Work, wanted: NewCredential) -> None:
    """An agency is in the directory, and no party that was stopped gets a key.  Raises Problem."""
    record = await hold_partner(work.conn, wanted.party_id) if wanted.party_id else None
    if wanted.role is Role.AGENCY and record is None:
        raise Problem.invalid([FieldError("/party_id", "unknown-party", "is no agency of the directory")])
    if record is not None and record.stopped is not None:
        raise Problem.conflict("partner-stopped", "The agency was stopped; resume it first.")


@router.get("")
async def listed(request: Request, _principal: Admin, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    async with doors_of(request).database.connection() as connection:
        found = await page_of_credentials(connection, cursor or "", limit + 1)
    return page_of(found, limit, "credential_id")


@router.delete("/{credential_id}", status_code=204)
async def revoke(request: Request, credential_id: str, _principal: Admin) -> Response:
    doors = doors_of(request)
    now = doors.environment.clock.now()
    async with doors.database.transaction() as work:
        record = await find_credential(work.conn, party_id_of(credential_id))
        if record is None:
            raise Problem.not_found()
        revoked = revoke_credential(record, now)
        if revoked is not None:
            await announce(work, revoked, now)
    return Response(status_code=204)
