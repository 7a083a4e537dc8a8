"""An intake as desks and integrators send it, and the events of ``intake.case.v1``.

``IntakeRequest`` is the door: every code is checked here, and a problem names a field, never its value.
The events carry the pseudonymous routing profile only: never names, phone, note, birth year, country, staff.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from ihala_events.vocabulary import (
    NEEDS,
    TIME_ZONE,
    AgeBand,
    BirthPrecision,
    CareWindow,
    Channel,
    CommuneCode,
    ConsentBasis,
    ConsentMode,
    DeskId,
    DocType,
    LanguageLevel,
    LanguageTag,
    NameRole,
    NeedCode,
    PartnerType,
    PartyId,
    Relation,
    Script,
    Sex,
    StatusCode,
    Urgency,
    UrgencyReason,
    Vulnerability,
)
from ihala_events.wire import Instant, Payload, Request, Text

CASE_REF_PATTERN = r"^[A-Z]{2}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$"
"""Territory prefix and eight Crockford characters, for example ``AG-7K3F-9QX2``."""
CaseRef = Annotated[str, StringConstraints(pattern=CASE_REF_PATTERN)]
StaffId = Annotated[Text, StringConstraints(max_length=64)]

# Patterns only ever refuse a note; nothing of the kind is stored (P05). Sources: docs/privacy.md.
_IDENTIFYING = re.compile(
    r"""(?ix)
      \b[a-z]{1,2}\s?\d{5,6}\b          # national identity card
    | \b[a-z]\d{9}\b                    # pupil's number
    | \b\d{3}-\d{2}[a-z]\d{5}\b | \b\d{3}-\d{8}\b   # UNHCR certificate
    | \b(?=(?:[a-z]*\d){5})(?=\d*[a-z])[a-z0-9]{6,9}\b   # passport, residence card
    | \b\d{10}\b                        # social register
    | (?:\+|00)?\d(?:[\s.\-]?\d){8,14}  # phone
    | [^\s@]+@[^\s@]+\.[a-z]{2,}        # e-mail
    """
)


def _not_identifying(note: str) -> str:
    """Refuse what looks like an identity number, a phone or an e-mail, in any script's digits."""
    western = "".join(str(int(c)) if c.isdecimal() else c for c in note)
    if _IDENTIFYING.search(western):
        raise PydanticCustomError("identifying-note", "looks like an identity number, a phone or an e-mail")
    return note


Note = Annotated[Text, StringConstraints(max_length=280), AfterValidator(_not_identifying)]


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("duplicate", "must not repeat a value")
    return values


class Facts(Request):
    """Typed answers that rules read. A missing or null fact never blocks. Which need may hold which: FACTS."""

    danger_to_life: bool | None = None
    pregnancy_weeks: Annotated[int, Field(ge=0, le=45)] | None = None
    danger_sign: bool | None = None
    treatment_interrupted: bool | None = None
    self_harm_risk: bool | None = None
    care_window: CareWindow | None = None
    out_of_school_months: Annotated[int, Field(ge=0, le=240)] | None = None
    woman_alone_or_with_children: bool | None = None
    infant_in_household: bool | None = None
    eviction_tonight: bool | None = None
    birth_date: date | None = None
    birth_commune_code: CommuneCode | None = None


def _facts_by_need(rows: dict[str, str]) -> dict[str, frozenset[str]]:
    by_need = {code: {"danger_to_life"} for code in NEEDS}
    for fact, needs in rows.items():
        for code in needs.split():
            by_need.setdefault(code, set()).add(fact)
    return {code: frozenset(facts) for code, facts in by_need.items()}


FACTS = _facts_by_need(
    {
        "pregnancy_weeks": "HEA-MAT",
        "danger_sign": "HEA-MAT",
        "treatment_interrupted": "HEA-CHR HEA-MED",
        "self_harm_risk": "HEA-MHP",
        "care_window": "HEA-SRV SOC-GBV",
        "out_of_school_months": "EDU-ENR EDU-REI EDU-NFE",
        "woman_alone_or_with_children": "SOC-SHE SOC-HOU",
        "infant_in_household": "SOC-FOO SOC-NFI SOC-CAS",
        "eviction_tonight": "SOC-HOU",
        "birth_date": "SOC-CIV",
        "birth_commune_code": "SOC-CIV",
    }
)
"""Facts that each need may hold."""


class NeedRequest(Request):
    need_code: NeedCode
    urgency: Urgency | None = None
    urgency_reason: UrgencyReason | None = None
    facts: Facts | None = None
    note: Note | None = None


class SpokenLanguage(Request):
    tag: LanguageTag
    level: LanguageLevel


class Name(Request):
    script: Script
    value: Annotated[Text, StringConstraints(max_length=120)]
    role: NameRole


class HouseholdMember(Request):
    case_ref: CaseRef
    relation: Relation


class SafeContact(Request):
    """``phone_shared``: others hear or read this phone, so nothing is sent to it."""

    channel: Channel
    language: LanguageTag | None = None
    hours: Annotated[Text, StringConstraints(max_length=60)] | None = None
    phone_shared: bool | None = None
    voicemail_ok: bool | None = None


class ConsentScope(Request):
    """Who may receive which need, by type or by name."""

    need_code: NeedCode
    partner_types: Annotated[list[PartnerType], Field(max_length=22), AfterValidator(_distinct)] = []
    partner_ids: Annotated[list[PartyId], Field(max_length=50), AfterValidator(_distinct)] = []


class ConsentRequest(Request):
    text_version: Annotated[Text, StringConstraints(max_length=20)]
    lang: LanguageTag
    mode: ConsentMode
    basis: ConsentBasis
    scope: Annotated[list[ConsentScope], Field(max_length=20)] = []


def _phone_like(value: str) -> str:
    if not re.fullmatch(r"\+?[0-9 ().\-]{6,25}", value):
        raise PydanticCustomError("invalid-phone", "is not a phone number")
    return value


class IntakeRequest(Request):
    """One person's intake. ``consent`` null: refused, which leaves only an anonymous tally (R01, P25)."""

    desk_id: DeskId
    received_at: Instant
    commune_code: CommuneCode
    age_band: AgeBand
    birth_year: Annotated[int, Field(ge=1890, le=2200)] | None = None
    birth_precision: BirthPrecision | None = None
    sex: Sex | None = None
    languages: Annotated[list[SpokenLanguage], Field(min_length=1, max_length=5)]
    interpreter_needed: bool | None = None
    needs: Annotated[list[NeedRequest], Field(min_length=1, max_length=10)]
    vulnerabilities: Annotated[list[Vulnerability], Field(max_length=12), AfterValidator(_distinct)] | None = None
    status_code: StatusCode | None = None
    docs_seen: Annotated[list[DocType], Field(max_length=13), AfterValidator(_distinct)] | None = None
    household: Annotated[list[HouseholdMember], Field(max_length=15)] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    names: Annotated[list[Name], Field(max_length=4)] | None = None
    phone: Annotated[str, AfterValidator(_phone_like)] | None = None
    safe_contact: SafeContact
    consent: ConsentRequest | None = None
    staff: Annotated[list[StaffId], Field(min_length=1, max_length=2), AfterValidator(_distinct)]

    @property
    def is_minor(self) -> bool:
        return self.age_band.is_minor

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refusals = list(_refusals(self))
        if refusals:
            raise PydanticCustomError(
                "refused", "does not fit together", {"refusals": [list(each) for each in refusals]}
            )
        return self


def _refusals(intake: IntakeRequest) -> Iterable[tuple[str, str, str]]:
    """Each (pointer, code, message) that makes a well-formed intake impossible (docs: refusals at intake)."""
    yield from _need_refusals(intake)
    yield from _birth_refusals(intake)
    if intake.consent is not None:
        yield from _consent_refusals(intake, intake.consent)


def _need_refusals(intake: IntakeRequest) -> Iterable[tuple[str, str, str]]:
    seen: set[str] = set()
    for index, need in enumerate(intake.needs):
        if need.need_code in seen:
            yield f"/needs/{index}/need_code", "duplicate", "a need stands once"
        seen.add(need.need_code)
        given = need.facts.model_dump(exclude_none=True) if need.facts else {}
        for fact in sorted(given.keys() - FACTS[need.need_code]):
            yield f"/needs/{index}/facts/{fact}", "unknown-field", "this need has no such fact"
        if given.get("birth_date", date.min) > intake.received_at.astimezone(TIME_ZONE).date():
            yield f"/needs/{index}/facts/birth_date", "after-receipt", "must not be after received_at"


def _birth_refusals(intake: IntakeRequest) -> Iterable[tuple[str, str, str]]:
    if intake.birth_year is None:
        return
    years = intake.received_at.year - intake.birth_year
    if not intake.age_band.first_year - 1 <= years <= intake.age_band.last_year + 1:
        yield "/birth_year", "does-not-fit", "must fit age_band within a year"


def _consent_refusals(intake: IntakeRequest, consent: ConsentRequest) -> Iterable[tuple[str, str, str]]:
    unaccompanied = Vulnerability.UNACCOMPANIED in (intake.vulnerabilities or [])
    match consent.basis:
        case ConsentBasis.CONSENT if intake.is_minor:
            yield "/consent/basis", "minor", "under 18 needs a guardian or the best interest"
        case ConsentBasis.GUARDIAN if intake.is_minor and unaccompanied:
            yield "/consent/basis", "unaccompanied", "an unaccompanied minor has no guardian"
        case ConsentBasis.BEST_INTEREST if not intake.is_minor:
            yield "/consent/basis", "adult", "the best interest is for minors"
        case ConsentBasis.BEST_INTEREST if len(intake.staff) < 2:
            yield "/staff", "two-staff", "the best interest needs two different staff"
        case _:
            pass


IDENTIFYING_FIELDS = ("names", "phone")
"""Refused on a topic, with the notes of the needs."""


def staff_digest(case_id: UUID, staff_id: str) -> str:
    """A member of staff as the referral service may compare it, different in every case."""
    return hashlib.sha256(case_id.bytes + staff_id.encode()).hexdigest()[:16]


class ProfileNeed(Payload):
    """``status_code`` only where a rule reads it."""

    need_id: UUID
    need_code: NeedCode
    urgency: Urgency | None = None
    urgency_reason: UrgencyReason | None = None
    facts: Facts = Facts()
    status_code: StatusCode | None = None


class ProfileConsent(Payload):
    consent_id: UUID
    basis: ConsentBasis
    scope: list[ConsentScope] = []


class ProfileMember(Payload):
    case_id: UUID
    relation: Relation


class RoutingProfile(Payload):
    """What routing may know of a case: pseudonymous, for the services alone."""

    case_id: UUID
    intake_id: UUID
    case_ref: CaseRef
    desk_id: DeskId
    received_at: Instant
    commune_code: CommuneCode
    age_band: AgeBand
    sex: Sex = Sex.UNKNOWN
    language_tags: list[LanguageTag]
    interpreter_needed: bool = False
    vulnerabilities: list[Vulnerability] = []
    needs: list[ProfileNeed]
    consent: ProfileConsent
    contact_channel: Channel
    phone_shared: bool = False
    documents_missing: bool = False
    household: list[ProfileMember] = []
    duplicate_suspected: bool = False
    status_ignored: bool = False
    recorded_by: list[str] = []
    """``staff_digest`` of those who recorded it: whoever confirms may have to be another."""
    dataref: str


class ConsentRecorded(Payload):
    case_id: UUID
    case_ref: CaseRef
    consent: ProfileConsent


class ConsentWithdrawn(Payload):
    """``need_codes`` null: the whole consent."""

    case_id: UUID
    case_ref: CaseRef
    consent_id: UUID
    need_codes: list[NeedCode] | None = None
    withdrawn_at: Instant


class CaseReleased(Payload):
    """A human decided on a suspected duplicate."""

    case_id: UUID
    case_ref: CaseRef
    decision: Literal["distinct", "same_person"]


class CaseCorrected(Payload):
    """``fields``: what changed, by name. The others: as it reads now, where it changed; null where it did not.

    A name, a phone and a birth year are told by name alone.
    """

    case_id: UUID
    case_ref: CaseRef
    fields: list[str]
    language_tags: list[LanguageTag] | None = None
    interpreter_needed: bool | None = None
    contact_channel: Channel | None = None
    phone_shared: bool | None = None


class SubjectErased(Payload):
    case_id: UUID
    case_ref: CaseRef
    erased_at: Instant


class InformationGiven(Payload):
    """The anonymous tally of a refused consent: a day, a desk, the sectors asked about."""

    date: date
    desk_id: DeskId
    sectors: list[str]
