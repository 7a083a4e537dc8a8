"""What the addressed agency may read of a person: the need it was asked to meet, and how to reach them safely."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from ihala_events.directory import Agreement, DisclosureField
from ihala_events.intake import FACTS, ConsentScope, Facts, IntakeRequest, Name, SafeContact
from ihala_events.vocabulary import (
    AgeBand,
    BirthPrecision,
    Channel,
    ConsentBasis,
    NeedCode,
    PartnerType,
    Sex,
)
from ihala_events.wire import Instant, Payload
from pydantic import field_serializer

SILENT_CHANNELS = frozenset({Channel.NONE, Channel.RELAY})


class Disclosure(Payload):
    """Details of one person for one referral. ``phone`` null for the channels NONE and RELAY.

    ``withheld``: fields that the agency's agreement does not name; they are null.
    """

    referral_id: UUID
    case_ref: str
    need_code: NeedCode
    names: list[Name] | None
    phone: str | None
    safe_contact: SafeContact | None
    languages: list[str] | None
    interpreter_needed: bool | None
    age_band: AgeBand | None
    birth_year: int | None
    birth_precision: BirthPrecision | None
    sex: Sex | None
    facts: Facts | None
    note: str | None
    withheld: list[DisclosureField] = []
    disclosed_at: Instant

    @field_serializer("facts")
    def _of_this_need(self, facts: Facts | None) -> dict[str, Any] | None:
        """Not even the names of other needs' facts."""
        return None if facts is None else facts.model_dump(mode="json", include=set(FACTS[self.need_code]))


def agreed_fields(agreements: Sequence[Agreement], need_code: str, day: date) -> frozenset[DisclosureField] | None:
    """What an agency may read for a need by its agreements on this day; None: no agreement is in force.

    An agency that is asked for another need than the person's (a child's school through child protection) reads what
    all of its agreements allow.
    """
    standing = [each for each in agreements if each.in_force(day)]
    deciding = [each for each in standing if each.covers(need_code)] or standing
    return frozenset.intersection(*(frozenset(each.fields) for each in deciding)) if deciding else None


WITH = {DisclosureField.BIRTH_YEAR: ("birth_year", "birth_precision")}


def disclose(
    intake: IntakeRequest,
    fields: Collection[DisclosureField],
    *,
    referral_id: UUID,
    case_ref: str,
    need_code: str,
    at: datetime,
) -> Disclosure:
    """These fields, of this need alone: an education agency reads no health fact (P07)."""
    whole = _whole(intake, referral_id, case_ref, need_code, at)
    withheld = [field for field in DisclosureField if field not in fields]
    nothing = {name: None for field in withheld for name in WITH.get(field, (field.value,))}
    return whole.model_copy(update={**nothing, "withheld": withheld})


def _whole(intake: IntakeRequest, referral_id: UUID, case_ref: str, need_code: str, at: datetime) -> Disclosure:
    need = next((each for each in intake.needs if each.need_code == need_code), None)
    return Disclosure(
        referral_id=referral_id,
        case_ref=case_ref,
        need_code=need_code,
        names=intake.names or [],
        phone=None if intake.safe_contact.channel in SILENT_CHANNELS else intake.phone,
        safe_contact=intake.safe_contact,
        languages=[language.tag for language in intake.languages],
        interpreter_needed=bool(intake.interpreter_needed),
        age_band=intake.age_band,
        birth_year=intake.birth_year,
        birth_precision=intake.birth_precision,
        sex=intake.sex or Sex.UNKNOWN,
        facts=(need.facts if need else None) or Facts(),
        note=need.note if need else None,
        disclosed_at=at,
    )


def coordination_may_read(basis: ConsentBasis, scope: list[ConsentScope], partner_id: str) -> bool:
    """The coordination cell sees code and reference; details only where a scope entry names it."""
    if basis in (ConsentBasis.BEST_INTEREST, ConsentBasis.VITAL_INTEREST):
        return False
    return any(PartnerType.COORD in entry.partner_types or partner_id in entry.partner_ids for entry in scope)
