"""The door of the person responsible for data: erasure, corrections, the subject file, the audit trail."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from ihala_events.wire import rfc3339
from ihala_runtime import telemetry
from ihala_runtime.access import Principal, allow

from ihala_intake.entrypoints.cases_seen import case_in_sight, doors_of

router = APIRouter(prefix="/v1")

Protection = Annotated[Principal, allow("protection")]


@router.post("/cases/{case_ref}/erasure", tags=["protection"])
async def erase(request: Request, case_ref: str, principal: Protection) -> dict[str, Any]:
    """Destroy the key of the person's data and whatever else tells of them. It cannot be undone."""
    doors = doors_of(request)
    async with doors.database.transaction() as work:
        case = await case_in_sight(work, case_ref, principal)
        with telemetry.journey(case.file.journey):
            erased_at = await doors.erase_subject(case, principal.actor, doors.clock.now())
    return {"case_ref": case_ref, "erased_at": rfc3339(erased_at)}
