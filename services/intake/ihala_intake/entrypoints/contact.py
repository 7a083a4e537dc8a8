"""How a person may be told something, for the service that tells it; no human has this role."""

from typing import Annotated

from fastapi import APIRouter, Request
from ihala_runtime.access import Principal, allow
from ihala_runtime.problem import Problem

from ihala_intake.domain.safe_contact import SafeWay
from ihala_intake.entrypoints.cases_seen import doors_of
from ihala_intake.handlers.open_file import Erased

router = APIRouter(prefix="/v1")


@router.get("/cases/{case_ref}/contact", tags=["contact"], response_model=SafeWay)
async def contact(request: Request, case_ref: str, principal: Annotated[Principal, allow("service")]) -> SafeWay:
    """The safe way to the person, written into the audit trail; 404 where nothing may be told."""
    doors = doors_of(request)
    try:
        found = await doors.read_contact(case_ref, principal.actor, doors.clock.now())
    except Erased:
        raise Problem.not_found() from None
    if found is None:
        raise Problem.not_found()
    return found
