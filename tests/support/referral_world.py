"""Builders for the referral service's tests: they show only what matters to a test."""

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from ihala_events.vocabulary import (
    COMMUNES,
    SECTORS,
    Channel,
    ConsentBasis,
    PartnerType,
    Sex,
    Urgency,
    UrgencyReason,
    needs_of,
)
from ihala_referral.adapters.shipped_data import load_calendar, load_rules, load_sample_directory
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.case import AskedNeed, Case, Consent, ScopeEntry
from ihala_referral.domain.choice import Places
from ihala_referral.domain.directory import Agreed, Directory, Partner, partner_of
from ihala_referral.domain.routing import Routed, World, route
from ihala_referral.domain.rules import RuleSet, in_force

EVERY_TYPE = tuple(PartnerType)


def at(text: str) -> datetime:
    """`2026-11-16 10:15`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@lru_cache(maxsize=1)
def calendar() -> Calendar:
    return load_calendar()


@lru_cache(maxsize=1)
def rules() -> RuleSet:
    return in_force((each.rules for each in load_rules()), date(2026, 11, 16))


@lru_cache(maxsize=1)
def sample_partners() -> tuple[Partner, ...]:
    return tuple(partner_of(record) for record in load_sample_directory())


@lru_cache(maxsize=1)
def sample_directory() -> Directory:
    return Directory.of(sample_partners())


def a_world(directory: Directory | None = None, places: Places | None = None) -> World:
    return World(rules(), directory or sample_directory(), calendar(), places or {})


def directory_with(*changed: Partner, without: tuple[str, ...] = ()) -> Directory:
    """The sample with some records replaced or added, others left out."""
    kept = {partner.partner_id: partner for partner in sample_partners() if partner.partner_id not in without}
    return Directory.of((kept | {partner.partner_id: partner for partner in changed}).values())


def partner(partner_id: str, **changes: Any) -> Partner:
    """A partner of the sample, changed."""
    return replace(sample_directory().partners[partner_id], **changes)


def agreed(*purposes: str, since: date = date(2025, 1, 1), until: date = date.max) -> Agreed:
    """A data-sharing agreement, about everything unless purposes are named."""
    return Agreed(needs_of(purposes or SECTORS), since, until)


def a_need(
    code: str,
    urgency: Urgency | None = None,
    reason: UrgencyReason | None = None,
    status: str | None = None,
    **facts: Any,
) -> AskedNeed:
    return AskedNeed(code, urgency, reason, facts, status)


def consent_to(*codes: str, types: tuple[PartnerType, ...] = EVERY_TYPE) -> tuple[ScopeEntry, ...]:
    return tuple(ScopeEntry(code, types) for code in codes)


def a_case(
    *needs: AskedNeed | str,
    received: str = "2026-11-16 10:15",
    commune: str = "AGD-AGADIR",
    age: int = 25,
    sex: Sex = Sex.F,
    languages: tuple[str, ...] = ("fr",),
    vulnerabilities: tuple[str, ...] = (),
    basis: ConsentBasis | None = ConsentBasis.CONSENT,
    scope: tuple[ScopeEntry, ...] | None = None,
    channel: Channel = Channel.SMS,
    **changes: Any,
) -> Case:
    """A woman of 25 in Agadir who agrees to every agency."""
    asked = tuple(need if isinstance(need, AskedNeed) else AskedNeed(need) for need in needs)
    named = consent_to(*(need.need_code for need in asked)) if scope is None else scope
    return Case(
        received_at=at(received),
        commune=COMMUNES[commune],
        age=age,
        sex=sex,
        languages=frozenset(languages),
        vulnerabilities=frozenset(vulnerabilities),
        needs=asked,
        consent=None if basis is None else Consent(basis, named),
        contact_channel=channel,
        **changes,
    )


def routed(case: Case, world: World | None = None, when: str | None = None) -> dict[str, Routed]:
    """The referrals of a case by need code, routed when it is received unless `when` says otherwise."""
    moment = at(when) if when else case.received_at
    return {each.need.code: each for each in route(case, moment, world or a_world())}


def chosen(referral: Routed) -> str | None:
    return referral.choice.chosen.partner_id if referral.choice.chosen else None


def chain_types(referral: Routed) -> list[str]:
    return [candidate.partner_type for candidate in referral.choice.candidates]
