"""The door of the person responsible for data: erasure, corrections, the subject file, the audit trail."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from ihala_events.wire import rfc3339
from ihala_runtime import telemetry
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import Problem, parse_body
from pydantic import TypeAdapter, ValidationError

from ihala_intake.domain.correction import Correction
from ihala_intake.domain.errors import IntakeRefused
from ihala_intake.domain.labels import Labels
from ihala_intake.domain.subject_page import as_page
from ihala_intake.entrypoints.cases_seen import case_in_sight, doors_of, file_in_sight, locked_case
from ihala_intake.entrypoints.refusals import as_problem
from ihala_intake.handlers.open_file import Erased

router = APIRouter(prefix="/v1")

_CORRECTION = TypeAdapter(Correction)

CaseWorker = Annotated[Principal, allow("desk", "protection")]
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


@router.post("/cases/{case_ref}/corrections", tags=["case"], openapi_extra=body_of(Correction))
async def correct(request: Request, case_ref: str, principal: CaseWorker) -> dict[str, Any]:
    """Put right what was recorded of the person: the changed fields alone. Every receiver is told to read again."""
    doors = doors_of(request)
    correction = parse_body(_CORRECTION, await request.body())
    async with doors.database.transaction() as work:
        case = await locked_case(work, case_ref, principal)
        try:
            with telemetry.journey(case.file.journey):
                fields = await doors.correct_case(case, correction, principal.actor, doors.clock.now())
        except (ValidationError, IntakeRefused) as refused:
            raise as_problem(refused) from None
        except Erased:
            raise Problem.conflict("erased") from None
    return {"case_ref": case_ref, "fields": fields}


@router.get("/cases/{case_ref}/export", tags=["protection"], response_class=HTMLResponse)
async def export(
    request: Request, case_ref: str, principal: Protection, lang: Literal["fr", "ar", "en"] = "fr"
) -> Response:
    """All that is held of the person and who read it, as a page in their language; or ``Accept: application/json``."""
    doors = doors_of(request)
    file = await file_in_sight(doors.database, case_ref, principal)
    gathered = await doors.subject_files.gather(file, principal.actor, doors.clock.now())
    headers = {"Cache-Control": "no-store"}
    if _wants_json(request):
        return JSONResponse(gathered.as_json(), headers=headers)
    return HTMLResponse(as_page(gathered, Labels(lang)), headers=headers)


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted
