"""What a case needs after its intake: duplicates decided, data corrected, shown to the person, erased."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from ihala_events.vocabulary import IntakeState
from ihala_events.wire import rfc3339
from ihala_runtime import telemetry
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import TypeAdapter, ValidationError

from ihala_intake.adapters import duplicates
from ihala_intake.adapters.duplicates import Suspected
from ihala_intake.domain.correction import Correction
from ihala_intake.domain.errors import IntakeRefused
from ihala_intake.domain.labels import Labels
from ihala_intake.domain.subject_page import as_page
from ihala_intake.entrypoints.cases_seen import case_in_sight, compared_in_sight, doors_of, file_in_sight, locked_case
from ihala_intake.entrypoints.refusals import as_problem
from ihala_intake.handlers.decide_duplicate import DuplicateDecision, decide_duplicate
from ihala_intake.handlers.open_file import Erased

router = APIRouter(prefix="/v1")

_CORRECTION = TypeAdapter(Correction)
_DECISION = TypeAdapter(DuplicateDecision)

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
    if _wants_json(request):
        return JSONResponse(gathered.as_json())
    return HTMLResponse(as_page(gathered, Labels(lang)))


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


@router.post("/cases/{case_ref}/duplicate-decision", tags=["case"], openapi_extra=body_of(DuplicateDecision))
async def decide(request: Request, case_ref: str, principal: CaseWorker) -> dict[str, Any]:
    """A human compared a held case. Distinct from all: it goes on. The same person: it ends; nothing is merged."""
    doors = doors_of(request)
    decision = parse_body(_DECISION, await request.body())
    async with doors.database.transaction() as work:
        case = await locked_case(work, case_ref, principal)
        compared = await duplicates.suspected_of(work.conn, case.case_id)
        _check_other(decision, compared_in_sight(compared, principal))
        if case.file.state != IntakeState.HELD:
            return _repeated(case_ref, decision, compared)
        with telemetry.journey(case.file.journey):
            released = await decide_duplicate(case, compared, decision, principal.actor, doors.clock.now())
    return {"case_ref": case_ref, "decision": decision.decision, "released": released}


def _check_other(decision: DuplicateDecision, in_sight: Sequence[Suspected]) -> None:
    """The case named is one that this one was compared with, and that the caller may see."""
    if decision.other_case_ref is None and decision.decision == "same_person":
        raise Problem.invalid([FieldError("/other_case_ref", "required", "which case it is the same person as")])
    if decision.other_case_ref is not None and decision.other_case_ref not in {each.case_ref for each in in_sight}:
        raise Problem.invalid([FieldError("/other_case_ref", "not-compared", "is no case this one was compared with")])


def _repeated(case_ref: str, decision: DuplicateDecision, compared: Sequence[Suspected]) -> dict[str, Any]:
    """The decision taken before, given again. Raises Problem (409) for another one."""
    meant = [each.decision for each in compared if decision.other_case_ref in (None, each.case_ref)]
    if not meant or set(meant) != {decision.decision}:
        raise Problem.conflict("not-held", "The case waits for no decision.")
    return {"case_ref": case_ref, "decision": decision.decision, "released": True}
