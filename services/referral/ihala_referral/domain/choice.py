"""Who is asked: candidates in order, the tests, the consent, and what happens when nobody passes.

Owns the choice of an agency.  The same function chooses the first one and every later one; it reads the directory
and the free places it is given, and changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from ihala_events.vocabulary import ConsentBasis, Jurisdiction, PartnerType, Urgency

from ihala_referral.domain.case import Consent, ScopeEntry
from ihala_referral.domain.directory import OTHERS_ASKED, Chain, Directory, Link, Partner, Place, wanted_need
from ihala_referral.domain.rules import ANY_NEED, Step

Places = Mapping[tuple[str, str], int]
"""Free places by `Link.counted_as`; an agency that published none is not in it."""


class Why(StrEnum):
    CHOSEN = "chosen"
    NEXT = "next"
    STOPPED = "stopped"
    NOT_ON_CALL = "not_on_call"
    CLOSED = "closed"
    NO_AGREEMENT = "no_agreement"
    NO_TRANSFER_REF = "no_transfer_ref"
    OUT_OF_SCOPE = "out_of_scope"
    FULL = "full"


class Gap(StrEnum):
    """What the territory lacks (I11)."""

    CAPACITY = "CAPACITY"
    NO_SUCH_SERVICE = "NO_SUCH_SERVICE"
    OUT_OF_AREA = "OUT_OF_AREA"


def chain_of(steps: tuple[Step, ...], need_code: str, place: Place, directory: Directory) -> Chain:
    """Every candidate in order, each agency once at its first place, the coordination cell last.

    The directory remembers it: the same steps, need and place give the same chain.  place: with the languages as the
    person says them.
    """
    place = Place(place.commune, directory.heard(steps, place.languages), place.day, place.far)
    key = (steps, need_code, place)
    chain = directory.chains.get(key)
    if chain is None:
        chain = directory.chains[key] = _chain(steps, need_code, place, directory)
    return chain


def _chain(steps: tuple[Step, ...], need_code: str, place: Place, directory: Directory) -> Chain:
    links: dict[str, Link] = {}
    for step in steps:
        wanted = wanted_need(step, need_code)
        found = directory.of_step(step, wanted, place)
        if step.others:
            found = [partner for partner in found if partner.partner_id not in links][:OTHERS_ASKED]
        for partner in found:
            serves = need_code if wanted == ANY_NEED else wanted
            links.setdefault(partner.partner_id, Link(partner.partner_id, serves))
    cell = directory.coordination(place.day).partner_id
    links.setdefault(cell, Link(cell, need_code))
    may_close = any(directory.partners[partner_id].closures for partner_id in links)
    return Chain(tuple(links.values()), directory.bypassed(steps, need_code, links, place.day), may_close)


class Permission(NamedTuple):
    """What the legal basis allows.  nothing: even an agency within the scope has to wait for a consent."""

    types: frozenset[PartnerType] = frozenset()
    partner_ids: frozenset[str] = frozenset()
    nothing: bool = False
    asks_person: bool = False

    def allows(self, partner: Partner) -> bool:
        return partner.type in self.types or partner.partner_id in self.partner_ids


GUARDIANSHIP = frozenset({PartnerType.CAPE, PartnerType.EN, PartnerType.NGO_CHI})


def permission_of(
    consent: Consent,
    *,
    basis: ConsentBasis,
    scope_needs: frozenset[str],
    urgency: Urgency,
    emergency_types: frozenset[PartnerType],
    type_of: Callable[[str], PartnerType | None],
) -> Permission:
    """basis: of this need, which for an added protection need is BEST_INTEREST.
    scope_needs: whose scope entries count.  emergency_types: of a health need at U0 and U1, its row's types."""
    match basis:
        case ConsentBasis.CONSENT | ConsentBasis.GUARDIAN:
            entries = consent.entries(scope_needs)
            return Permission(_types(entries), _ids(entries), asks_person=True)
        case ConsentBasis.BEST_INTEREST:
            named = _types(consent.scope) | {type_of(partner_id) for partner_id in _ids(consent.scope)}
            migration = frozenset({PartnerType.IOM}) & named
            return Permission(GUARDIANSHIP | migration | emergency_types)
        case ConsentBasis.VITAL_INTEREST:
            return Permission(frozenset({PartnerType.HOS}), nothing=urgency is not Urgency.U0)


def _types(entries: Sequence[ScopeEntry]) -> frozenset[PartnerType]:
    return frozenset().union(*[entry.partner_types for entry in entries])


def _ids(entries: Sequence[ScopeEntry]) -> frozenset[str]:
    return frozenset().union(*[entry.partner_ids for entry in entries])


class Ask(NamedTuple):
    """What is asked of every candidate.  first_day, last_day: local days of now and of ack_due.
    on_call_only: U0 and U1.  may_wait: U3 and U4.  keeps_list: the row keeps waiting lists.
    redirect: out of area, where nobody waits for a consent."""

    permission: Permission
    first_day: date
    last_day: date
    on_call_only: bool
    may_wait: bool
    keeps_list: bool = False
    redirect: bool = False


class Candidate(NamedTuple):
    link: Link
    partner_type: PartnerType
    chosen: bool
    why: Why


@dataclass(frozen=True, slots=True)
class Choice:
    """chosen: None under a hold for consent.  waitlisted: the chosen agency is full."""

    candidates: tuple[Candidate, ...]
    chosen: Link | None
    waitlisted: bool = False
    gap: Gap | None = None


def choose(links: Sequence[Link], ask: Ask, directory: Directory, places: Places) -> Choice:
    """links: the untried part of the chain, the coordination cell last."""
    known = [(link, directory.partners[link.partner_id]) for link in links if link.partner_id in directory.partners]
    failures = [failures_of(link, partner, ask, places) for link, partner in known]
    position, waitlisted, gap = _decide(known, failures, ask, places)
    return Choice(
        tuple(
            Candidate(link, partner.type, index == position, _why(failed, is_chosen=index == position))
            for index, ((link, partner), failed) in enumerate(zip(known, failures, strict=True))
        ),
        None if position is None else known[position][0],
        waitlisted,
        gap,
    )


def choose_first(chain: Chain, ask: Ask, directory: Directory, places: Places) -> Choice:
    """`choose` over a whole chain; remembered while every place in it is free or unknown."""
    if places and any(is_full(link, places) for link in chain.links):
        return choose(chain.links, ask, directory, places)
    last_day = ask.last_day if chain.may_close else None  # else nothing depends on it
    key = (ask.permission, ask.first_day, last_day, ask.on_call_only, ask.redirect)
    choice: Choice | None = chain.choices.get(key)
    if choice is None:
        choice = chain.choices[key] = choose(chain.links, ask, directory, {})
    return choice


def _why(failed: tuple[Why, ...], *, is_chosen: bool) -> Why:
    return failed[0] if failed else (Why.CHOSEN if is_chosen else Why.NEXT)


Known = Sequence[tuple[Link, Partner]]


def _decide(
    known: Known, failures: Sequence[tuple[Why, ...]], ask: Ask, places: Places
) -> tuple[int | None, bool, Gap | None]:
    """Position of the chosen agency (None: nobody), whether it keeps a waiting list, and the gap."""
    if ask.permission.nothing or not known:
        return None, False, None
    position = failures.index(())  # the coordination cell, always there and never tested, ends the search
    if known[position][1].type is not PartnerType.COORD:
        return position, is_full(known[position][0], places), None
    if (Why.OUT_OF_SCOPE,) in failures and ask.permission.asks_person and not ask.redirect:
        return None, False, None
    full = [index for index, failed in enumerate(failures) if failed == (Why.FULL,)]
    if not full:
        return position, False, Gap.NO_SUCH_SERVICE
    waiting = [index for index in full if keeps_list(known[index][0])] if ask.may_wait else []
    return (waiting[0], True, None) if waiting else (position, False, Gap.CAPACITY)


def failures_of(link: Link, partner: Partner, ask: Ask, places: Places) -> tuple[Why, ...]:
    """Every test that fails, in the order of the tests; the first is the candidate's `why`."""
    if partner.type is PartnerType.COORD:
        return ()
    failed: tuple[Why, ...] = (Why.STOPPED,) if partner.stopped else ()
    if ask.on_call_only and not partner.on_call:
        failed += (Why.NOT_ON_CALL,)
    if partner.closures and partner.closed_throughout(ask.first_day, ask.last_day):
        failed += (Why.CLOSED,)
    if not partner.has_agreement(link.serves, ask.first_day):
        failed += (Why.NO_AGREEMENT,)
    if partner.jurisdiction is not Jurisdiction.MOROCCO and not partner.has_transfer_ref:
        failed += (Why.NO_TRANSFER_REF,)
    if not ask.permission.allows(partner):
        failed += (Why.OUT_OF_SCOPE,)
    if is_full(link, places) and not (ask.keeps_list and ask.may_wait and keeps_list(link)):
        failed += (Why.FULL,)
    return failed


def keeps_list(link: Link) -> bool:
    """Nobody waits for a place of a pilot initiative: the row's agencies are there."""
    return link.programme_id is None


def is_full(link: Link, places: Places) -> bool:
    return bool(places) and places.get(link.counted_as) == 0
