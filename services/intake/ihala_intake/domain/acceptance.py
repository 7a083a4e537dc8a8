"""From a well-formed intake to what is stored and published of it. Pure: it draws ids and decides.

The event carries the routing profile and nothing that identifies; everything else goes into the sealed file.
Without consent there is no case: only a tally of desk, day and sectors (R01, P01, P25).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ihala_events.intake import (
    ConsentRequest,
    ConsentScope,
    Facts,
    InformationGiven,
    IntakeRequest,
    NeedRequest,
    ProfileConsent,
    ProfileMember,
    ProfileNeed,
    RoutingProfile,
    staff_digest,
)
from ihala_events.partner import FieldRefusal
from ihala_events.vocabulary import NEEDS, TIME_ZONE, DocType, IntakeState, Sex, StatusCode
from ihala_runtime.identifiers import uuid7

from ihala_intake.domain.case_ref import new_case_ref
from ihala_intake.domain.duplicates import PersonKeys
from ihala_intake.domain.errors import IntakeRefused, NotTheirDesk


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who brings the intake. ``scope_id``: what idempotency keys are unique within."""

    scope_id: str
    desk_ids: frozenset[str]
    integrator_id: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """When ``any_time`` (a test clock runs), ``received_at`` may be any instant."""

    case_ref_prefix: str
    most_ahead: timedelta
    most_ago: timedelta
    any_time: bool
    intake_url: str
    referral_url: str


@dataclass(frozen=True, slots=True)
class NewCase:
    """A case to be stored: its rows, its event, and the person's data still to be sealed."""

    case_id: UUID
    intake_id: UUID
    case_ref: str
    desk_id: str
    integrator_id: str | None
    received_at: datetime
    needs: list[dict[str, str]]
    consent_id: UUID
    consent: ConsentRequest
    profile: RoutingProfile
    private: bytes
    person: PersonKeys | None

    @property
    def state(self) -> IntakeState:
        return IntakeState.HELD if self.profile.duplicate_suspected else IntakeState.SUBMITTED


@dataclass(frozen=True, slots=True)
class Tally:
    """What a refused consent leaves behind."""

    given: InformationGiven


Accepted = NewCase | Tally


def check(intake: IntakeRequest, submitter: Submitter, policy: Policy, now: datetime) -> None:
    """Raises NotTheirDesk or IntakeRefused."""
    if intake.desk_id not in submitter.desk_ids:
        raise NotTheirDesk
    if not policy.any_time and intake.received_at > now + policy.most_ahead:
        raise IntakeRefused([FieldRefusal(pointer="/received_at", code="in-the-future", message="is too far ahead")])
    if not policy.any_time and intake.received_at < now - policy.most_ago:
        raise IntakeRefused([FieldRefusal(pointer="/received_at", code="too-old", message="is too long ago")])


def accept(
    intake: IntakeRequest,
    submitter: Submitter,
    policy: Policy,
    *,
    phone: str | None,
    household: Mapping[str, UUID],
    person: PersonKeys | None,
) -> Accepted:
    """phone: in E.164.  household: case ids by case_ref, all of the intake's.  person: to find them again by."""
    if intake.consent is None:
        return _tally(intake)
    case_id, intake_id, consent_id = uuid7(), uuid7(), uuid7()
    case_ref = new_case_ref(policy.case_ref_prefix)
    needs = [(uuid7(), need) for need in intake.needs]
    profile = RoutingProfile(
        case_id=case_id,
        intake_id=intake_id,
        case_ref=case_ref,
        desk_id=intake.desk_id,
        received_at=intake.received_at,
        commune_code=intake.commune_code,
        age_band=intake.age_band,
        sex=intake.sex or Sex.UNKNOWN,
        language_tags=[language.tag for language in intake.languages],
        interpreter_needed=bool(intake.interpreter_needed),
        vulnerabilities=intake.vulnerabilities or [],
        needs=[_profile_need(need_id, need, intake) for need_id, need in needs],
        consent=profile_consent(consent_id, intake.consent),
        contact_channel=intake.safe_contact.channel,
        phone_shared=bool(intake.safe_contact.phone_shared),
        documents_missing=DocType.NONE in (intake.docs_seen or []),
        household=_members(intake, household),
        status_ignored=_status_ignored(intake),
        recorded_by=[staff_digest(case_id, staff) for staff in intake.staff],
        dataref=f"{policy.intake_url}/v1/cases/{case_ref}/disclosure",
    )
    return NewCase(
        case_id=case_id,
        intake_id=intake_id,
        case_ref=case_ref,
        desk_id=intake.desk_id,
        integrator_id=submitter.integrator_id,
        received_at=intake.received_at,
        needs=[{"need_id": str(need_id), "need_code": need.need_code} for need_id, need in needs],
        consent_id=consent_id,
        consent=intake.consent,
        profile=profile,
        private=_private(intake, phone),
        person=person,
    )


def with_new_reference(case: NewCase, policy: Policy) -> NewCase:
    """The same case under another reference, for the rare one that is taken."""
    case_ref = new_case_ref(policy.case_ref_prefix)
    dataref = f"{policy.intake_url}/v1/cases/{case_ref}/disclosure"
    return replace(
        case, case_ref=case_ref, profile=case.profile.model_copy(update={"case_ref": case_ref, "dataref": dataref})
    )


def held(case: NewCase) -> NewCase:
    """The same case, to wait for a human: it may be a duplicate."""
    return replace(case, profile=case.profile.model_copy(update={"duplicate_suspected": True}))


def profile_consent(consent_id: UUID, consent: ConsentRequest) -> ProfileConsent:
    scope: list[ConsentScope] = list(consent.scope)
    return ProfileConsent(consent_id=consent_id, basis=consent.basis, scope=scope)


def answer(accepted: Accepted, policy: Policy) -> dict[str, Any]:
    """What the submitter is told, now and whenever the same request comes again."""
    if isinstance(accepted, Tally):
        return {
            "intake_id": None,
            "case_id": None,
            "case_ref": None,
            "state": IntakeState.INFORMATION_ONLY,
            "needs": [],
            "links": {},
        }
    return {
        "intake_id": str(accepted.intake_id),
        "case_id": str(accepted.case_id),
        "case_ref": accepted.case_ref,
        "state": accepted.state,
        "needs": accepted.needs,
        "links": {
            "case": f"{policy.intake_url}/v1/cases/{accepted.case_ref}",
            "referrals": f"{policy.referral_url}/v1/referrals?case_ref={accepted.case_ref}",
        },
    }


def _tally(intake: IntakeRequest) -> Tally:
    sectors = sorted({NEEDS[need.need_code].sector for need in intake.needs})
    day = intake.received_at.astimezone(TIME_ZONE).date()
    return Tally(InformationGiven(date=day, desk_id=intake.desk_id, sectors=sectors))


def _profile_need(need_id: UUID, need: NeedRequest, intake: IntakeRequest) -> ProfileNeed:
    return ProfileNeed(
        need_id=need_id,
        need_code=need.need_code,
        urgency=need.urgency,
        urgency_reason=need.urgency_reason,
        facts=need.facts or Facts(),
        status_code=_status_for(need.need_code, intake),
    )


def _status_for(need_code: str, intake: IntakeRequest) -> StatusCode | None:
    """Legal status, only for a need that may ask for it and never for a minor (P21)."""
    return intake.status_code if NEEDS[need_code].status and not intake.is_minor else None


def _status_ignored(intake: IntakeRequest) -> bool:
    asked = any(NEEDS[need.need_code].status for need in intake.needs)
    return intake.status_code is not None and not asked


def _members(intake: IntakeRequest, household: Mapping[str, UUID]) -> list[ProfileMember]:
    return [
        ProfileMember(case_id=household[member.case_ref], relation=member.relation) for member in intake.household or []
    ]


def _private(intake: IntakeRequest, phone: str | None) -> bytes:
    """The whole intake, to be sealed; the phone as it will be dialled."""
    return intake.model_copy(update={"phone": phone}).model_dump_json(exclude_none=True).encode()
