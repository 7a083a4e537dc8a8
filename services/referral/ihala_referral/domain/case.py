"""The case as routing may know it: pseudonymous, immutable, without names, phone or note."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ihala_events.intake import ConsentScope, Facts, IntakeRequest, ProfileConsent, RoutingProfile
from ihala_events.vocabulary import (
    COMMUNES,
    NEEDS,
    CareWindow,
    Channel,
    Commune,
    ConsentBasis,
    PartnerType,
    Sex,
    Urgency,
    UrgencyReason,
    Vulnerability,
)

from ihala_referral.domain.conditions import FactValue


@dataclass(frozen=True, slots=True)
class ScopeEntry:
    """Who may receive one need."""

    need_code: str
    partner_types: tuple[PartnerType, ...] = ()
    partner_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Consent:
    basis: ConsentBasis
    scope: tuple[ScopeEntry, ...] = ()

    def entries(self, need_codes: frozenset[str]) -> tuple[ScopeEntry, ...]:
        return tuple([entry for entry in self.scope if entry.need_code in need_codes])


@dataclass(frozen=True, slots=True)
class AskedNeed:
    """One line of the intake.  facts: given ones alone.  status: None where nothing may read it."""

    need_code: str
    urgency: Urgency | None = None
    urgency_reason: UrgencyReason | None = None
    facts: Mapping[str, FactValue] = field(default_factory=dict)
    status: str | None = None
    need_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """age: first year of the band.  consent: None when the person refused.
    agencies_of_others: by need, who has it for another member of the household."""

    received_at: datetime
    commune: Commune
    age: int
    sex: Sex
    languages: frozenset[str]
    vulnerabilities: frozenset[str]
    needs: tuple[AskedNeed, ...]
    consent: Consent | None
    contact_channel: Channel
    phone_shared: bool = False
    status_ignored: bool = False
    duplicate_suspected: bool = False
    agencies_of_others: Mapping[str, frozenset[str]] = field(default_factory=dict)


def case_of_profile(
    profile: RoutingProfile, consent: Consent, agencies_of_others: Mapping[str, frozenset[str]], *, held: bool = False
) -> Case:
    """consent: the profile's.  held: a human has not yet decided whether this is a duplicate."""
    return Case(
        received_at=profile.received_at,
        commune=COMMUNES[profile.commune_code],
        age=profile.age_band.first_year,
        sex=profile.sex,
        languages=frozenset(profile.language_tags),
        vulnerabilities=frozenset(profile.vulnerabilities),
        needs=tuple(
            [
                AskedNeed(
                    need.need_code,
                    need.urgency,
                    need.urgency_reason,
                    facts_of(need.facts),
                    need.status_code,
                    need.need_id,
                )
                for need in profile.needs
            ]
        ),
        consent=consent,
        contact_channel=profile.contact_channel,
        phone_shared=profile.phone_shared,
        status_ignored=profile.status_ignored,
        duplicate_suspected=held,
        agencies_of_others=agencies_of_others,
    )


def case_of_intake(intake: IntakeRequest) -> Case:
    """An intake as the door receives it, for `explain`."""
    status_asked = any(NEEDS[need.need_code].status for need in intake.needs)
    consent = intake.consent
    return Case(
        received_at=intake.received_at,
        commune=COMMUNES[intake.commune_code],
        age=intake.age_band.first_year,
        sex=intake.sex or Sex.UNKNOWN,
        languages=frozenset(language.tag for language in intake.languages),
        vulnerabilities=frozenset(intake.vulnerabilities or ()),
        needs=tuple(
            AskedNeed(
                need.need_code,
                need.urgency,
                need.urgency_reason,
                facts_of(need.facts),
                intake.status_code if NEEDS[need.need_code].status else None,
            )
            for need in intake.needs
        ),
        consent=None if consent is None else Consent(consent.basis, _scope(consent.scope)),
        contact_channel=intake.safe_contact.channel,
        phone_shared=bool(intake.safe_contact.phone_shared),
        status_ignored=intake.status_code is not None and not status_asked,
    )


def consent_of(consent: ProfileConsent) -> Consent:
    return Consent(consent.basis, _scope(consent.scope))


def _scope(scope: list[ConsentScope]) -> tuple[ScopeEntry, ...]:
    return tuple(ScopeEntry(entry.need_code, tuple(entry.partner_types), tuple(entry.partner_ids)) for entry in scope)


def facts_of(facts: Facts | None) -> dict[str, FactValue]:
    """Given facts alone; `unknown` is missing, a date is its ISO text."""
    if facts is None:
        return {}
    given: dict[str, FactValue] = {}
    for name in facts.model_fields_set:
        value = getattr(facts, name)
        if value is not None and value != CareWindow.UNKNOWN:
            given[name] = value if isinstance(value, bool | int | str) else value.isoformat()
    return given


ALONE = frozenset({Vulnerability.UNACCOMPANIED, Vulnerability.SEPARATED})
