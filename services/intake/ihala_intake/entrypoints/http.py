"""The desk's and the integrators' HTTP door. One request is one transaction; 201 is answered after its commit."""

import asyncio
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from ihala_events.access import Role
from ihala_events.intake import ConsentRequest, IntakeRequest
from ihala_events.vocabulary import IntakeState
from ihala_runtime import failpoints, telemetry
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import IdempotencyKey, StraightRoute, body_of
from ihala_runtime.kafka import Consumers
from ihala_runtime.problem import Problem, parse_body
from pydantic import TypeAdapter
from pydantic_core import to_json

from ihala_intake.adapters import cases, duplicates
from ihala_intake.adapters.intake_store import SUBMIT_POINTS
from ihala_intake.domain.acceptance import Submitter
from ihala_intake.domain.disclosure import Disclosure
from ihala_intake.domain.errors import IntakeRefused, KeyReused, NotTheirDesk
from ihala_intake.entrypoints.cases_seen import compared_in_sight, doors_of, locked_case, may_see
from ihala_intake.entrypoints.directory import DIRECTORY_CONSUMER
from ihala_intake.entrypoints.lifecycle import LIFECYCLE_CONSUMER
from ihala_intake.entrypoints.refusals import as_problem
from ihala_intake.handlers.open_file import Erased, Reading
from ihala_intake.handlers.record_consent import record_consent
from ihala_intake.handlers.submit_intake import Arrival
from ihala_intake.handlers.withdraw_consent import WithdrawConsent, withdraw_consent

DISCLOSURE_WAIT_SECONDS = 2.0
DISCLOSURE_LOOK_SECONDS = 0.05

router = APIRouter(prefix="/v1")

_INTAKE = TypeAdapter(IntakeRequest)
_CONSENT = TypeAdapter(ConsentRequest)
_WITHDRAWAL = TypeAdapter(WithdrawConsent)

Submitting = Annotated[Principal, allow("desk", "integrator")]
CaseWorker = Annotated[Principal, allow("desk", "protection")]


async def submit(request: Request, principal: Submitting, key: IdempotencyKey) -> Response:
    """Record an intake: 201 once it is durable. The same key and body: the same answer again."""
    arrival = await _admitted(request, principal, key)
    try:
        outcome = await doors_of(request).group_commit.submit(arrival)
    except KeyReused:
        raise Problem.conflict(KeyReused.slug, "The Idempotency-Key was used with another body.") from None
    failpoints.reach(SUBMIT_POINTS, "answering")
    headers = {"Idempotency-Replayed": "true"} if outcome.replayed else None
    return Response(to_json(_as_shown(outcome.answer, principal)), 201, headers, "application/json")


SUBMIT = StraightRoute(
    "/v1/intakes",
    submit,
    methods=["POST"],
    status_code=201,
    tags=["intake"],
    openapi_extra=body_of(IntakeRequest),
)


@router.post("/intakes:validate", tags=["intake"], openapi_extra=body_of(IntakeRequest))
async def validate(request: Request, principal: Submitting) -> dict[str, Any]:
    """What would be refused; nothing is stored."""
    arrival = await _admitted(request, principal, "validate")
    told = doors_of(request).prepare.draw_up(arrival).answer
    return {"state": told["state"], "needs": [need["need_code"] for need in told["needs"]]}


async def _admitted(request: Request, principal: Principal, key: str) -> Arrival:
    doors = doors_of(request)
    intake = parse_body(_INTAKE, await request.body())
    here = telemetry.current_traceparent()
    try:
        return await doors.prepare.admit(
            intake, _submitter(principal), key, doors.clock.now(), journey=here, traceparent=here
        )
    except NotTheirDesk:
        raise Problem(403, NotTheirDesk.slug, "This key does not work for that desk") from None
    except IntakeRefused as refused:
        raise as_problem(refused) from None


def _submitter(principal: Principal) -> Submitter:
    integrator = principal.party_id if principal.role is Role.INTEGRATOR else None
    return Submitter(principal.credential_id, principal.desk_ids, integrator)


def _as_shown(answer: dict[str, Any], principal: Principal) -> dict[str, Any]:
    """A suspected duplicate is shown as held to desk and protection alone."""
    hide = principal.role is Role.INTEGRATOR and answer["state"] == IntakeState.HELD
    return {**answer, "state": IntakeState.SUBMITTED} if hide else answer


@router.get("/cases/{case_ref}", tags=["case"])
async def read_case(
    request: Request, case_ref: str, principal: Annotated[Principal, allow("desk", "protection", "integrator")]
) -> dict[str, Any]:
    """A desk's own case with the person's data; an integrator sees reference and state of its own."""
    doors = doors_of(request)
    async with doors.database.connection() as connection:
        file = await cases.find_case(connection, case_ref)
        if file is None or not may_see(file, principal):
            raise Problem.not_found()
        if principal.role is Role.INTEGRATOR:
            return {"case_ref": case_ref, "state": IntakeState.SUBMITTED}
        consent = await cases.current_consent(connection, file.case_id)
        compared = compared_in_sight(await duplicates.suspected_of(connection, file.case_id), principal)
    reading = Reading(principal.actor, "case-read", file.case_id, doors.clock.now())
    try:
        person = (await doors.open_file(reading, file.sealed)).model_dump(mode="json", exclude={"consent", "needs"})
    except Erased:
        person = None
    return {
        "case_id": file.case_id,
        "intake_id": file.intake_id,
        "case_ref": case_ref,
        "desk_id": file.desk_id,
        "state": file.state,
        "received_at": file.received_at,
        "erased_at": file.erased_at,
        "needs": file.needs,
        "consent": _consent_shown(consent),
        "compared_with": [{"case_ref": each.case_ref, "decision": each.decision} for each in compared],
        "person": person,
    }


def _consent_shown(consent: cases.Consent | None) -> dict[str, Any] | None:
    if consent is None:
        return None
    return {
        "consent_id": consent.consent_id,
        "basis": consent.basis,
        "scope": [entry.model_dump(mode="json") for entry in consent.scope],
        "text_version": consent.text_version,
        "recorded_at": consent.recorded_at,
        "withdrawn_at": consent.withdrawn_at,
        "withdrawn_needs": consent.withdrawn_needs,
    }


@router.post("/cases/{case_ref}/consents", status_code=201, tags=["case"], openapi_extra=body_of(ConsentRequest))
async def give_consent(request: Request, case_ref: str, principal: CaseWorker) -> dict[str, Any]:
    """The person consents anew; it replaces the consent before."""
    doors = doors_of(request)
    given = parse_body(_CONSENT, await request.body())
    async with doors.database.transaction() as work:
        case = await locked_case(work, case_ref, principal)
        with telemetry.journey(case.file.journey):
            consent_id = await record_consent(case, given, doors.clock.now())
    return {"consent_id": consent_id, "case_ref": case_ref}


@router.post("/cases/{case_ref}/consent-withdrawal", tags=["case"], openapi_extra=body_of(WithdrawConsent))
async def take_consent_back(request: Request, case_ref: str, principal: CaseWorker) -> dict[str, Any]:
    """The person takes the consent back; disclosures end at once, deliveries and referrals by the event."""
    doors = doors_of(request)
    command = parse_body(_WITHDRAWAL, await request.body())
    async with doors.database.transaction() as work:
        case = await locked_case(work, case_ref, principal)
        consent = await cases.current_consent(work.conn, case.case_id)
        if consent is None:
            raise Problem.not_found()
        now: datetime = doors.clock.now()
        if _takes_something(command, consent):
            with telemetry.journey(case.file.journey):
                await withdraw_consent(case, command, consent.consent_id, now)
    return {"case_ref": case_ref, "consent_id": consent.consent_id, "need_codes": command.need_codes}


def _takes_something(command: WithdrawConsent, consent: cases.Consent) -> bool:
    """False for a repetition, which changes nothing and tells nobody twice."""
    return consent.withdrawn_at is None and (
        command.need_codes is None or not set(command.need_codes) <= set(consent.withdrawn_needs)
    )


@router.get("/cases/{case_ref}/disclosure", tags=["disclosure"], response_model=Disclosure)
async def disclosure(
    request: Request, case_ref: str, referral_id: UUID, principal: Annotated[Principal, allow("agency")]
) -> Disclosure:
    """The person's details for the agency that the referral is addressed to now; written into the audit trail."""
    doors = doors_of(request)
    deadline = asyncio.get_running_loop().time() + DISCLOSURE_WAIT_SECONDS
    while True:
        try:
            found = await doors.disclose(
                case_ref, referral_id, principal.party_id or "", principal.actor, doors.clock.now()
            )
        except Erased:
            raise Problem.not_found() from None
        if found is not None:
            return found
        if asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(DISCLOSURE_LOOK_SECONDS)
    consumers: Consumers = request.app.state.consumers
    if await consumers.is_behind(LIFECYCLE_CONSUMER) or await consumers.is_behind(DIRECTORY_CONSUMER):
        raise Problem(503, "not-up-to-date", "Please try again", headers={"Retry-After": "2"})
    raise Problem.not_found()
