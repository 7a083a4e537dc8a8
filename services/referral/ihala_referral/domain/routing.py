"""From a case to its referrals: needs, rows, urgency, take-over, chain, choice, hold, clocks.

Owns the order of work of the specification  Pure: the same case, instant, rules, directory and places give the same
answer, which is what `explain` shows and what the router stores.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from ihala_events.vocabulary import (
    ADULT_AGE,
    COMMUNES,
    NEEDS,
    RESTRICTED_NEEDS,
    Channel,
    Commune,
    ConsentBasis,
    HoldReason,
    PartnerType,
    ReferralState,
    Urgency,
    Vulnerability,
    languages_shared,
)

from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.case import ALONE, AskedNeed, Case, Consent
from ihala_referral.domain.choice import (
    Ask,
    Choice,
    Gap,
    Permission,
    Places,
    chain_of,
    choose,
    choose_first,
    permission_of,
)
from ihala_referral.domain.conditions import Circumstances, FactValue
from ihala_referral.domain.deadlines import FROM_RECEIPT, Deadlines, attempt_ack_due, deadlines_of, one_month_after
from ihala_referral.domain.directory import Bypassed, Chain, Directory, Link, Place
from ihala_referral.domain.household import together_first
from ihala_referral.domain.rules import Flag, Row, RuleSet, Step, Suggestion, TakeOver


class ReferralFlag(StrEnum):
    """What the desk should see beside a referral."""

    WAIT = "wait"
    IN_PERSON = "in_person"
    INFO = "info"
    LANGUAGE_GAP = "language_gap"
    URGENCY_IGNORED = "urgency_ignored"
    STATUS_IGNORED = "status_ignored"
    SIBLINGS_SPLIT = "siblings_split"


@dataclass(frozen=True, slots=True)
class World:
    """Everything routing reads beside the case."""

    rules: RuleSet
    directory: Directory
    calendar: Calendar
    places: Places


class Need(NamedTuple):
    """A need to be routed.  added_by: the need or vulnerability that added it.
    scope_needs: whose consent counts for it."""

    asked: AskedNeed
    added_by: str | None
    scope_needs: frozenset[str]

    @property
    def code(self) -> str:
        return self.asked.need_code


class Notify(NamedTuple):
    """Who may be told what way."""

    person: str
    partner: str


class Mandate(NamedTuple):
    """What later choices of a referral need beside the case's consent.
    emergency_types: of a health need at U0 and U1, its row's agency types.
    silent: the person is told nothing of it, whatever channel they gave."""

    basis_is_best_interest: bool
    scope_needs: frozenset[str]
    emergency_types: frozenset[PartnerType]
    waits: bool
    redirect: bool
    silent: bool = False

    def notify(self, need_code: str, channel: Channel, *, phone_shared: bool) -> Notify:
        """What way the person and the agency may be told."""
        nothing = self.silent or phone_shared or channel is Channel.NONE
        sign_in = need_code in RESTRICTED_NEEDS or phone_shared
        return Notify("none" if nothing else channel.lower(), "sign_in" if sign_in else "notice")

    def basis(self, consent: Consent) -> ConsentBasis:
        return ConsentBasis.BEST_INTEREST if self.basis_is_best_interest else consent.basis

    def permission(self, consent: Consent, urgency: Urgency, directory: Directory) -> Permission:
        return permission_of(
            consent,
            basis=self.basis(consent),
            scope_needs=self.scope_needs,
            urgency=urgency,
            emergency_types=self.emergency_types,
            type_of=directory.type_of,
        )

    def ask(self, consent: Consent, urgency: Urgency, days: tuple[date, date], directory: Directory) -> Ask:
        """days: local days of now and of ack_due."""
        permission = self.permission(consent, urgency, directory)
        return Ask(
            permission,
            *days,
            on_call_only=urgency <= Urgency.U1,
            may_wait=urgency >= Urgency.U3,
            keeps_list=self.waits,
            redirect=self.redirect,
        )


class Routed(NamedTuple):
    """One referral as routing proposes it.  together: agencies that have the need for another of the household."""

    need: Need
    row: str
    rule_id: str
    rule_set_version: str
    urgency: Urgency
    urgency_default: Urgency
    links: tuple[Link, ...]
    bypassed: tuple[Bypassed, ...]
    choice: Choice
    gap: Gap | None
    state: ReferralState
    hold_reason: HoldReason | None
    ack_due: datetime
    contact_due: datetime
    hard_deadline: date | None
    requires_confirmation: bool
    other_staff_confirms: bool
    offers: tuple[str, ...]
    flags: tuple[ReferralFlag, ...]
    notify: Notify
    mandate: Mandate
    together: frozenset[str]


class _Ruling(NamedTuple):
    """What the rows say of one need."""

    row: Row
    take_over: TakeOver | None
    urgency: Urgency
    urgency_ignored: bool
    steps: tuple[Step, ...]
    best_interest: bool

    @property
    def decided_by(self) -> Row | TakeOver:
        return self.take_over or self.row

    @property
    def is_redirect(self) -> bool:
        return self.take_over is not None and Flag.REDIRECT in self.take_over.flags


def route(case: Case, at: datetime, world: World) -> tuple[Routed, ...]:
    """Every referral of a case routed at the instant `at`; none when the person refused (R01)."""
    if case.consent is None:
        return ()
    today = world.calendar.local_date(at)
    found = needs_of(case, case.consent, world)
    restricted = not RESTRICTED_NEEDS.isdisjoint(met.need.code for met in found)
    moment = _Moment(at, today)
    return tuple([_route_need(case, case.consent, met, moment, world, restricted) for met in found])


class _Moment(NamedTuple):
    """When it is routed.  today: the local day."""

    at: datetime
    today: date


class Met(NamedTuple):
    """A need, the circumstances its conditions read, and the row it meets."""

    need: Need
    given: Circumstances
    row: Row


def needs_of(case: Case, consent: Consent, world: World) -> tuple[Met, ...]:
    """Those asked, plus those added until nothing more is added; each code once."""
    found: dict[str, Met] = {}
    waiting = [_met(case, consent, Need(asked, None, frozenset((asked.need_code,))), world) for asked in case.needs]
    for met in waiting:
        found[met.need.code] = met
    for met in waiting:  # grows while it is read
        for code, added in _added_by(met, case, world):
            if code not in found:
                found[code] = _met(case, consent, added, world)
                waiting.append(found[code])
            elif code == EMERGENCY:
                found[code] = _met(case, consent, _with_danger(found[code].need), world)
    return tuple(found.values())


def _met(case: Case, consent: Consent, need: Need, world: World) -> Met:
    given = _circumstances(case, consent, need.asked, world)
    return Met(need, given, world.rules.row_for(need.code, given))


EMERGENCY = "HEA-EMG"


def _with_danger(need: Need) -> Need:
    """Danger to life on any need counts for the emergency already asked."""
    return need._replace(asked=replace(need.asked, facts={**need.asked.facts, "danger_to_life": True}))


def _added_by(met: Met, case: Case, world: World) -> Iterator[tuple[str, Need]]:
    need, given, row = met
    for addition in world.rules.additions:
        if addition.when.holds(given):
            cause = need.code if addition.of_each_need else _alone(case)
            yield addition.need_code, _added(addition.need_code, cause, need, carries=addition.of_each_need)
    for suggestion in row.adds:
        if suggestion.when.holds(given):
            yield suggestion.need_code, _added(suggestion.need_code, need.code, need, carries=True)


def _added(code: str, cause: str, by: Need, *, carries: bool) -> Need:
    facts: Mapping[str, FactValue] = by.asked.facts if carries else {}
    scope_needs = by.scope_needs | {code} if carries else frozenset({code})
    return Need(AskedNeed(code, facts=facts, status=by.asked.status), cause, scope_needs)


def _alone(case: Case) -> str:
    if Vulnerability.UNACCOMPANIED in case.vulnerabilities:
        return Vulnerability.UNACCOMPANIED
    return Vulnerability.SEPARATED


def _circumstances(case: Case, consent: Consent, asked: AskedNeed, world: World) -> Circumstances:
    return Circumstances(
        age=case.age,
        sex=case.sex,
        status=asked.status if case.age >= ADULT_AGE else None,
        basis=consent.basis,
        vulnerabilities=_vulnerabilities(case),
        facts=_with_birth_days(asked.facts, case.received_at, world.calendar),
    )


def _vulnerabilities(case: Case) -> frozenset[str]:
    """An adult is never unaccompanied or separated, whatever was entered."""
    return case.vulnerabilities if case.age < ADULT_AGE else case.vulnerabilities - ALONE


def _with_birth_days(
    facts: Mapping[str, FactValue], received_at: datetime, calendar: Calendar
) -> Mapping[str, FactValue]:
    """birth_days: whole days from birth to the local date of receipt."""
    birth = facts.get("birth_date")
    if birth is None:
        return facts
    return {**facts, "birth_days": (calendar.local_date(received_at) - date.fromisoformat(str(birth))).days}


def _route_need(case: Case, consent: Consent, met: Met, moment: _Moment, world: World, restricted_case: bool) -> Routed:
    need, ruling = met.need, _ruling(case, consent, met, world)
    code, decided_by = need.code, ruling.decided_by
    hard_date = _hard_date(ruling.row, need)
    deadlines, ack_due = _clocks(ruling.urgency, case.received_at, moment.at, hard_date, world.calendar)
    mandate = _mandate(ruling, need, silent=restricted_case or _is_silent(case, consent, ruling))
    basis = mandate.basis(consent)
    others = case.agencies_of_others.get(code, frozenset())
    chain = _chain(case, need, ruling, moment.today, world)
    days = (moment.today, world.calendar.local_date(ack_due))
    ask = mandate.ask(consent, ruling.urgency, days, world.directory)
    offers = _offers_first(case, need, ruling, moment.today, world)
    if offers or others:
        links = offers + together_first(chain.links, others)
        choice = choose(links, ask, world.directory, world.places)
    else:
        links = chain.links
        choice = choose_first(chain, ask, world.directory, world.places)
    confirmation = _requires_confirmation(need, ruling, basis)
    state, hold = _state(case, choice, ruling, confirmation)
    return Routed(
        need=need,
        row=decided_by.row_id,
        rule_id=decided_by.rule_id,
        rule_set_version=world.rules.version,
        urgency=ruling.urgency,
        urgency_default=ruling.row.default_urgency(code),
        links=links,
        bypassed=chain.bypassed,
        choice=choice,
        gap=Gap.OUT_OF_AREA if ruling.is_redirect else choice.gap,
        state=state,
        hold_reason=hold,
        ack_due=ack_due,
        contact_due=deadlines.contact_due,
        hard_deadline=hard_date,
        requires_confirmation=confirmation,
        other_staff_confirms=basis is ConsentBasis.BEST_INTEREST,
        offers=_offers(case, met) if met.row.offers else (),
        flags=_flags(case, ruling, choice, others, world.directory),
        notify=mandate.notify(code, case.contact_channel, phone_shared=case.phone_shared),
        mandate=mandate,
        together=others,
    )


def _offers_first(case: Case, need: Need, ruling: _Ruling, today: date, world: World) -> tuple[Link, ...]:
    """Pilot initiatives stand before the row's chain; never where a human confirms or a take-over row decides."""
    if not world.directory.programmes or need.code in RESTRICTED_NEEDS or ruling.take_over is not None:
        return ()
    return world.directory.offers(need.code, case.age, case.sex, case.commune, today)


def _ruling(case: Case, consent: Consent, met: Met, world: World) -> _Ruling:
    need, given, row = met
    urgency, ignored = _urgency(need.asked, row.default_urgency(need.code))
    age, sex, status, basis, vulnerabilities, facts, *_ = given
    sector, coverage = NEEDS[need.code].sector, case.commune.coverage
    take_over = world.rules.take_over_for(
        Circumstances(age, sex, status, basis, vulnerabilities, facts, urgency, coverage, sector, row.rule_id)
    )
    best_interest = need.added_by is not None and need.code in world.rules.best_interest_when_added
    return _Ruling(row, take_over, urgency, ignored, _steps(row, take_over, need, consent, world), best_interest)


def _urgency(asked: AskedNeed, default: Urgency) -> tuple[Urgency, bool]:
    """The urgency that counts, and whether the one entered was ignored: lowering needs a reason."""
    entered = asked.urgency
    if entered is None or entered <= default or asked.urgency_reason is not None:
        return entered or default, False
    return default, True


def _steps(row: Row, take_over: TakeOver | None, need: Need, consent: Consent, world: World) -> tuple[Step, ...]:
    if take_over is not None:
        return take_over.chain_if_restricted if need.code in RESTRICTED_NEEDS else take_over.chain
    if Flag.SCOPE_ORDER in row.flags:
        return _in_scope_order(row.chain, need, consent, world.directory)
    return row.chain


def _in_scope_order(steps: tuple[Step, ...], need: Need, consent: Consent, directory: Directory) -> tuple[Step, ...]:
    """The person chooses: types in the order the consent names them, the others behind."""
    named: list[PartnerType | None] = []
    for entry in consent.entries(need.scope_needs):
        named += entry.partner_types
        named += [directory.type_of(partner_id) for partner_id in entry.partner_ids]
    position = {step.partner_type: index for index, step in enumerate(steps)}
    first = {kind: index for index, kind in reversed(list(enumerate(named)))}
    return tuple(
        sorted(steps, key=lambda step: (first.get(step.partner_type, len(named)), position[step.partner_type]))
    )


def _hard_date(row: Row, need: Need) -> date | None:
    """One month after the date that the row's fact names."""
    given = need.asked.facts.get(row.hard_date) if row.hard_date else None
    return one_month_after(date.fromisoformat(str(given))) if given else None


def _clocks(
    urgency: Urgency, received_at: datetime, at: datetime, hard_date: date | None, calendar: Calendar
) -> tuple[Deadlines, datetime]:
    deadlines = deadlines_of(urgency, received_at, hard_date, calendar)
    if at - received_at <= FROM_RECEIPT:
        return deadlines, deadlines.ack_due
    ack_due = attempt_ack_due(urgency, received_at, at, deadlines.contact_due, hard_date, calendar)
    return deadlines, ack_due


def _mandate(ruling: _Ruling, need: Need, *, silent: bool) -> Mandate:
    emergency = NEEDS[need.code].sector == "HEA" and ruling.urgency <= Urgency.U1
    return Mandate(
        basis_is_best_interest=ruling.best_interest,
        scope_needs=need.scope_needs,
        emergency_types=ruling.row.types if emergency else frozenset(),
        waits=Flag.WAIT in ruling.row.flags,
        redirect=ruling.is_redirect,
        silent=silent,
    )


def _chain(case: Case, need: Need, ruling: _Ruling, today: date, world: World) -> Chain:
    far = Flag.FAR in ruling.decided_by.flags or ruling.urgency is Urgency.U0
    commune = _commune(case, need, ruling)
    place = Place(commune.code, case.languages, today, far)
    return chain_of(ruling.steps, need.code, place, world.directory)


def _commune(case: Case, need: Need, ruling: _Ruling) -> Commune:
    """The commune to look in: the case's, unless the row names a fact that says another."""
    fact = ruling.row.commune if ruling.take_over is None else None
    code = need.asked.facts.get(fact) if fact else None
    return COMMUNES[str(code)] if code else case.commune


def _requires_confirmation(need: Need, ruling: _Ruling, basis: ConsentBasis) -> bool:
    if NEEDS[need.code].confirm or Flag.CONFIRM in ruling.row.flags:
        return True
    return basis is ConsentBasis.BEST_INTEREST and ruling.urgency is not Urgency.U0


def _state(case: Case, choice: Choice, ruling: _Ruling, confirmation: bool) -> tuple[ReferralState, HoldReason | None]:
    """the specification: nobody chosen is always a hold for consent."""
    if choice.chosen is None:
        return ReferralState.PROPOSED, HoldReason.CONSENT
    if ruling.is_redirect:
        return ReferralState.OUT_OF_AREA, None
    if case.duplicate_suspected and ruling.urgency >= Urgency.U2:
        return ReferralState.PROPOSED, HoldReason.DUPLICATE
    if confirmation:
        return ReferralState.PROPOSED, HoldReason.CONFIRMATION
    return (ReferralState.WAITLISTED if choice.waitlisted else ReferralState.SENT), None


def _offers(case: Case, met: Met) -> tuple[str, ...]:
    asked = {each.need_code for each in case.needs}
    return tuple(offer.need_code for offer in met.row.offers if _is_offered(offer, met.given, asked))


def _is_offered(offer: Suggestion, given: Circumstances, asked: set[str]) -> bool:
    return offer.need_code not in asked and offer.when.holds(given)


SHOWN_FLAGS = {
    Flag.WAIT: ReferralFlag.WAIT,
    Flag.IN_PERSON: ReferralFlag.IN_PERSON,
    Flag.INFO: ReferralFlag.INFO,
}


def _flags(
    case: Case, ruling: _Ruling, choice: Choice, others: frozenset[str], directory: Directory
) -> tuple[ReferralFlag, ...]:
    flags = [shown for flag, shown in SHOWN_FLAGS.items() if flag in ruling.row.flags]
    if choice.chosen:
        flags += flags_of_agency(choice.chosen.partner_id, case.languages, others, directory)
    if ruling.urgency_ignored:
        flags.append(ReferralFlag.URGENCY_IGNORED)
    if case.status_ignored:
        flags.append(ReferralFlag.STATUS_IGNORED)
    return tuple(flags)


FLAGS_OF_AGENCY = (ReferralFlag.LANGUAGE_GAP, ReferralFlag.SIBLINGS_SPLIT)


def flags_of_agency(
    partner_id: str, languages: frozenset[str], others: frozenset[str], directory: Directory
) -> tuple[ReferralFlag, ...]:
    """Those that change with the agency.  others: the agencies that have the need for others of the household."""
    flags: tuple[ReferralFlag, ...] = ()
    if not languages_shared(languages, directory.partners[partner_id].languages):
        flags += (ReferralFlag.LANGUAGE_GAP,)
    if others and partner_id not in others:
        flags += (ReferralFlag.SIBLINGS_SPLIT,)
    return flags


SILENT_BASES = frozenset({ConsentBasis.BEST_INTEREST, ConsentBasis.VITAL_INTEREST})
SILENT_VULNERABILITIES = frozenset({Vulnerability.GENDER_VIOLENCE, Vulnerability.TRAFFICKING})


def is_sensitive(case: Case) -> bool:
    """Something in the case points to a restricted need, even where none was asked or added."""
    alone = case.consent is not None and case.consent.basis is ConsentBasis.BEST_INTEREST
    return alone or not SILENT_VULNERABILITIES.isdisjoint(case.vulnerabilities)


def _is_silent(case: Case, consent: Consent, ruling: _Ruling) -> bool:
    return consent.basis in SILENT_BASES or is_sensitive(case) or Flag.IN_PERSON in ruling.row.flags
