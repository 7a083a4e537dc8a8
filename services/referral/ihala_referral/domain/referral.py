"""The life of one referral: one need on its way, through one or more agencies.

Every change goes through a method here, which returns the events it made or raises a refusal; nothing else may
set a field.  A repetition of the last move makes no event.  Time is a parameter, the world is a parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from ihala_events import catalogue
from ihala_events.catalogue import EventType
from ihala_events.referral import ReferralEvent
from ihala_events.vocabulary import (
    AttemptState,
    DeclineReason,
    HoldReason,
    Outcome,
    PartnerType,
    ReferralState,
    Urgency,
)

from ihala_referral.domain.attempt import Alert, Attempt, CaseFile, Clock, Happening, Happenings, Scene
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.choice import Choice, Gap, Why, choose, failures_of
from ihala_referral.domain.deadlines import (
    DUPLICATE_HOLD,
    FROM_RECEIPT,
    attempt_ack_due,
    deadlines_of,
    offer_lapses_at,
    reminder_at,
)
from ihala_referral.domain.directory import Link
from ihala_referral.domain.errors import (
    AttemptEnded,
    LastInChain,
    PartnerNotPossible,
    SameStaff,
    TooUrgentToWait,
    TransitionRefused,
)
from ihala_referral.domain.explanation import explained_chain
from ihala_referral.domain.routing import Mandate, ReferralFlag, Routed, has_language_gap
from ihala_referral.domain.transitions import OPEN, Move, check

SYSTEM = "system"
SAME_PERSON = "DUPLICATE"
CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
ERASED = "ERASED"
CALENDAR_CHANGED = "CALENDAR_CHANGED"


@dataclass(slots=True)
class Referral:
    """ack_due: of the current attempt; while proposed, the time by which a human must have acted.
    due_from: the instant from which it counts.  alerts: those already given.
    last_move: what a repetition is compared with."""

    referral_id: UUID
    case: CaseFile
    need_id: UUID
    need_code: str
    urgency: Urgency
    state: ReferralState
    hold_reason: HoldReason | None
    rule_id: str
    row: str
    rule_set_version: str
    links: tuple[Link, ...]
    mandate: Mandate
    requires_confirmation: bool
    other_staff_confirms: bool
    flags: tuple[str, ...]
    explanation: dict[str, Any]
    received_at: datetime
    ack_due: datetime
    contact_due: datetime
    hard_deadline: date | None
    sent_at: datetime | None = None
    contacted_at: datetime | None = None
    outcome_code: Outcome | None = None
    due_from: datetime | None = None
    waitlisted_at: datetime | None = None
    offer_lapses_at: datetime | None = None
    alerts: frozenset[str] = frozenset()
    last_move: tuple[str, ...] | None = None
    attempts: list[Attempt] = field(default_factory=list)
    sequence: int = 0
    journey: str | None = None

    # --- how it begins

    @classmethod
    def propose(
        cls, referral_id: UUID, need_id: UUID, case: CaseFile, routed: Routed, received_at: datetime, scene: Scene
    ) -> tuple["Referral", Happenings]:
        """A referral as routing found it; without a hold it is sent at once."""
        referral = cls(
            referral_id=referral_id,
            case=case,
            need_id=need_id,
            need_code=routed.need.code,
            urgency=routed.urgency,
            state=ReferralState.PROPOSED,
            hold_reason=routed.hold_reason,
            rule_id=routed.rule_id,
            row=routed.row,
            rule_set_version=routed.rule_set_version,
            links=routed.links,
            mandate=routed.mandate,
            requires_confirmation=routed.requires_confirmation,
            other_staff_confirms=routed.other_staff_confirms,
            flags=tuple(routed.flags),
            explanation=_explanation(routed),
            received_at=received_at,
            ack_due=routed.ack_due,
            contact_due=routed.contact_due,
            hard_deadline=routed.hard_deadline,
        )
        return referral, referral._begin(routed, scene)

    def _begin(self, routed: Routed, scene: Scene) -> Happenings:
        self.due_from = self._counts_from(scene.now)
        happened = [self._event(catalogue.PROPOSED, scene.now)]
        if routed.gap is not None:
            happened.append(self._event(catalogue.GAP_RECORDED, scene.now, reason=routed.gap))
        if routed.hold_reason is HoldReason.CONSENT:
            happened.append(self._event(catalogue.CONSENT_NEEDED, scene.now))
        if routed.state is ReferralState.PROPOSED or routed.choice.chosen is None:
            return happened
        if routed.state is ReferralState.OUT_OF_AREA:
            self.state = routed.state
            happened.append(self._event(catalogue.OUT_OF_AREA, scene.now))
        return happened + self._send(routed.choice.chosen, SYSTEM, scene, waitlisted=routed.choice.waitlisted)

    # --- moves of people

    def confirm(self, staff: str, actor: str, scene: Scene) -> Happenings:
        """A human agrees to the proposal.  staff: digest of who confirms."""
        if self._repeats(Move.CONFIRM, staff):
            return []
        check(Move.CONFIRM, self.state)
        if self.hold_reason is not HoldReason.CONFIRMATION:
            raise TransitionRefused(Move.CONFIRM, self.state)
        if self.other_staff_confirms and staff in self.case.recorded_by:
            raise SameStaff(Move.CONFIRM, self.state)
        self._remember(Move.CONFIRM, staff)
        return [self._event(catalogue.CONFIRMED, scene.now, actor), *self._ask_next(actor, scene)]

    def acknowledge(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        if self._repeats(Move.ACKNOWLEDGE, partner_id):
            return []
        attempt = self._live_attempt(Move.ACKNOWLEDGE, partner_id)
        target = check(Move.ACKNOWLEDGE, self.state)
        if not attempt.is_unanswered:
            raise TransitionRefused(Move.ACKNOWLEDGE, self.state)
        self._remember(Move.ACKNOWLEDGE, partner_id)
        self.state = target
        return [self._acknowledged(attempt, actor, scene.now)]

    def accept(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        if self._repeats(Move.ACCEPT, partner_id):
            return []
        attempt = self._live_attempt(Move.ACCEPT, partner_id)
        target = check(Move.ACCEPT, self.state)
        self._remember(Move.ACCEPT, partner_id)
        happened = []
        if attempt.is_unanswered:
            if self.state is ReferralState.SENT:
                self.state = ReferralState.ACKNOWLEDGED
            happened.append(self._acknowledged(attempt, actor, scene.now))
        attempt.state = AttemptState.ACCEPTED
        self._take_place(attempt, scene)
        self.state, self.offer_lapses_at = target, None
        return [*happened, self._event(catalogue.ACCEPTED, scene.now, actor)]

    def decline(self, partner_id: str, reason: DeclineReason, actor: str, scene: Scene) -> Happenings:
        return self._give_up(Move.DECLINE, partner_id, reason, actor, scene)

    def hand_back(self, partner_id: str, reason: DeclineReason, actor: str, scene: Scene) -> Happenings:
        return self._give_up(Move.HAND_BACK, partner_id, reason, actor, scene)

    def waitlist(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        if self._repeats(Move.WAITLIST, partner_id):
            return []
        attempt = self._live_attempt(Move.WAITLIST, partner_id)
        target = check(Move.WAITLIST, self.state)
        if self.urgency <= Urgency.U1:
            raise TooUrgentToWait(Move.WAITLIST, self.state)
        self._remember(Move.WAITLIST, partner_id)
        if attempt.is_unanswered:
            attempt.state, attempt.answered_at = AttemptState.ACKNOWLEDGED, scene.now
        self.state, self.waitlisted_at = target, scene.now
        return [self._event(catalogue.WAITLISTED, scene.now, actor)]

    def offer(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        """A place became free; it lapses at the close of the third working day."""
        if self._repeats(Move.OFFER, partner_id):
            return []
        attempt = self._live_attempt(Move.OFFER, partner_id)
        check(Move.OFFER, self.state)
        self._remember(Move.OFFER, partner_id)
        if attempt.is_unanswered:
            attempt.state, attempt.answered_at = AttemptState.ACKNOWLEDGED, scene.now
        self._take_place(attempt, scene)
        self.offer_lapses_at = offer_lapses_at(scene.now, scene.calendar)
        return [self._event(catalogue.PLACE_OFFERED, scene.now, actor)]

    def offer_freed_place(self, scene: Scene) -> Happenings:
        """A place that the agency counts became free, and this person is the next in line."""
        attempt = self.holder
        if attempt is None or self.state is not ReferralState.WAITLISTED or self.offer_lapses_at is not None:
            return []
        if not self._take_place(attempt, scene):
            return []
        self.offer_lapses_at = offer_lapses_at(scene.now, scene.calendar)
        return [self._event(catalogue.PLACE_OFFERED, scene.now)]

    def contacted(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        """The agency spoke with the person; only the first time counts."""
        if self._repeats(Move.CONTACTED, partner_id):
            return []
        self._live_attempt(Move.CONTACTED, partner_id)
        check(Move.CONTACTED, self.state)
        if self.contacted_at is not None:
            return []
        self._remember(Move.CONTACTED, partner_id)
        self.contacted_at = scene.now
        return [self._event(catalogue.CONTACTED, scene.now, actor)]

    def start(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        if self._repeats(Move.START, partner_id):
            return []
        self._live_attempt(Move.START, partner_id)
        self.state = check(Move.START, self.state)
        self._remember(Move.START, partner_id)
        self.contacted_at = self.contacted_at or scene.now
        return [self._event(catalogue.STARTED, scene.now, actor)]

    def close(self, partner_id: str, outcome: Outcome, actor: str, scene: Scene) -> Happenings:
        if self._repeats(Move.CLOSE, partner_id, outcome):
            return []
        self._live_attempt(Move.CLOSE, partner_id)
        self.state = check(Move.CLOSE, self.state)
        self._remember(Move.CLOSE, partner_id, outcome)
        return self._closed(outcome, actor, scene.now)

    def close_by_desk(self, outcome: Outcome, actor: str, scene: Scene) -> Happenings:
        """Any open referral; an agency that has not taken it yet is recalled."""
        if self._repeats(Move.CLOSE_BY_DESK, outcome):
            return []
        target = check(Move.CLOSE_BY_DESK, self.state)
        self._remember(Move.CLOSE_BY_DESK, outcome)
        happened = [] if self._is_taken else self._recall(outcome, actor, scene)
        self.state, self.hold_reason = target, None
        return happened + self._closed(outcome, actor, scene.now)

    def reroute(self, reason: DeclineReason, partner_id: str | None, actor: str, scene: Scene) -> Happenings:
        """The desk or the operator asks another agency: the one named, else the next of the chain."""
        if self._repeats(Move.REROUTE, reason, partner_id or ""):
            return []
        check(Move.REROUTE, self.state)
        if partner_id is None:
            self._check_not_last(scene)
        named = None if partner_id is None else self._possible(partner_id, scene)
        left = self.current.partner_id if self.current else None
        self._remember(Move.REROUTE, reason, partner_id or "")
        happened = self._recall(reason, actor, scene)
        self.state = ReferralState.SENT
        if named is None:
            return happened + self._ask_next(actor, scene, left=left, reason=reason)
        self._set_language_gap(named, scene)
        return happened + self._send(named, actor, scene, left=left, reason=reason)

    def confirm_deletion(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        attempts = self._attempts_of(Move.DELETION_CONFIRMATION, partner_id)
        if all(attempt.deletion == "confirmed" for attempt in attempts):
            return []
        for attempt in attempts:
            attempt.deletion = "confirmed"
        return [self._event(catalogue.DELETION_CONFIRMED, scene.now, actor, attempt=attempts[-1])]

    def confirm_correction(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        attempts = self._attempts_of(Move.CORRECTION_CONFIRMATION, partner_id)
        if all(attempt.correction == "confirmed" for attempt in attempts):
            return []
        for attempt in attempts:
            attempt.correction = "confirmed"
        return [self._event(catalogue.CORRECTION_CONFIRMED, scene.now, actor, attempt=attempts[-1])]

    # --- what happens to the case

    def release(self, scene: Scene) -> Happenings:
        """A human found the suspected duplicate to be another person."""
        if self.hold_reason is not HoldReason.DUPLICATE:
            return []
        check(Move.RELEASE, self.state)
        if self.requires_confirmation:
            self.hold_reason = HoldReason.CONFIRMATION
            return [self._event(catalogue.PROPOSED, scene.now)]
        return self._ask_next(SYSTEM, scene)

    def consent_recorded(self, scene: Scene) -> Happenings:
        """The case has a new consent: a referral that waited for it is chosen anew."""
        if self.hold_reason is not HoldReason.CONSENT:
            return []
        if self.requires_confirmation and not self.attempts:
            return self._propose_anew(scene)
        return self._ask_next(SYSTEM, scene)

    def _propose_anew(self, scene: Scene) -> Happenings:
        choice = self._choose(scene)
        self.explanation = self.explanation | {"partner_chain": explained_chain(choice.candidates)}
        if choice.chosen is None:
            return []
        self.hold_reason = HoldReason.CONFIRMATION
        return [self._event(catalogue.PROPOSED, scene.now)]

    def withdraw(self, reason: str, scene: Scene) -> Happenings:
        """Open: taken back.  Every agency that was asked must delete what it read, also of one that is closed."""
        if self.state is ReferralState.WITHDRAWN:
            return []
        happened = []
        if self.is_open:
            happened = self._recall(reason, SYSTEM, scene)
            self.state, self.hold_reason = check(Move.WITHDRAW, self.state), None
            happened.append(self._event(catalogue.WITHDRAWN, scene.now, reason=reason))
        return happened + self._request_deletions(scene)

    def _request_deletions(self, scene: Scene) -> Happenings:
        last_of = {attempt.partner_id: attempt for attempt in self.attempts if attempt.deletion is None}
        for attempt in last_of.values():
            attempt.deletion = "requested"
        return [self._event(catalogue.DELETION_REQUESTED, scene.now, attempt=attempt) for attempt in last_of.values()]

    def request_correction(self, scene: Scene) -> Happenings:
        """The person's data changed: every agency that still works with them reads them again."""
        attempt = self.current
        if not self.is_open or attempt is None or not attempt.is_live:
            return []
        attempt.correction = "requested"
        return [self._event(catalogue.CORRECTION_REQUESTED, scene.now)]

    def blank(self) -> None:
        """The person is erased: ids, need, states and times stay, why it went where it went does not."""
        self.explanation, self.flags = {}, ()

    # --- what time does

    def timers(self, calendar: Calendar) -> dict[Clock, datetime]:
        """When to look again, and why; derived from the state alone, so it can be computed anew at any time."""
        if not self.is_open:
            return {}
        due: dict[Clock, datetime] = {}
        if self.contacted_at is None and Alert.CONTACT_DUE not in self.alerts:
            due[Clock.CONTACT_DUE] = self.contact_due
        if self.state is ReferralState.PROPOSED:
            return due | self._hold_timers()
        attempt = self.current
        if attempt is not None and attempt.is_unanswered:
            due[Clock.ACK_DUE] = attempt.ack_due
            reminder = reminder_at(self.urgency, attempt.sent_at, attempt.ack_due, calendar)
            if reminder is not None and not attempt.reminded:
                due[Clock.REMINDER] = reminder
        if self.offer_lapses_at is not None:
            due[Clock.OFFER] = self.offer_lapses_at
        return due

    def _hold_timers(self) -> dict[Clock, datetime]:
        due: dict[Clock, datetime] = {}
        if Alert.ACK_DUE not in self.alerts:
            due[Clock.ACK_DUE] = self.ack_due
        if self.hold_reason is HoldReason.DUPLICATE and Alert.DUPLICATE_UNDECIDED not in self.alerts:
            due[Clock.HOLD] = self.received_at + DUPLICATE_HOLD
        return due

    def time_passed(self, clock: Clock, scene: Scene) -> Happenings:
        """Answer a timer: it is a question, so a state that moved on gives nothing."""
        due = self.timers(scene.calendar).get(clock)
        if due is None or due > scene.now:
            return []
        match clock:
            case Clock.ACK_DUE:
                return self._not_answered(scene)
            case Clock.CONTACT_DUE:
                return self._alert(Alert.CONTACT_DUE, scene, missed=True)
            case Clock.REMINDER:
                return self._remind(scene)
            case Clock.HOLD:
                return self._alert(Alert.DUPLICATE_UNDECIDED, scene)
            case Clock.OFFER:
                return self._offer_lapsed(scene)

    def _not_answered(self, scene: Scene) -> Happenings:
        attempt = self.current
        if self.state is ReferralState.PROPOSED or attempt is None:
            return self._alert(Alert.ACK_DUE, scene, missed=True)
        if not attempt.tried:  # our outage is not the agency's silence
            self._extend(attempt, scene)
            return [self._event(catalogue.ESCALATED, scene.now, reason=Alert.NOT_DELIVERED)]
        happened = self._missed(Alert.ACK_DUE, scene)
        if self._is_last(attempt):
            self._extend(attempt, scene)
            return happened
        self.state = check(Move.SILENCE, self.state)
        self._end(attempt, AttemptState.SILENT, None, scene)
        return happened + self._ask_next(SYSTEM, scene, left=attempt.partner_id, reason=Alert.ACK_DUE)

    def _extend(self, attempt: Attempt, scene: Scene) -> None:
        """Another whole window, from now."""
        self.due_from = scene.now
        attempt.ack_due = self.ack_due = attempt_ack_due(
            self.urgency, scene.now, scene.now, self.contact_due, self.hard_deadline, scene.calendar
        )

    def _remind(self, scene: Scene) -> Happenings:
        attempt = self.current
        if attempt is None:
            return []
        attempt.reminded = True
        if attempt.ack_due <= scene.now:  # a clock that came late: the silence itself is answered next
            return []
        return [self._event(catalogue.REMINDER, scene.now)]

    def _offer_lapsed(self, scene: Scene) -> Happenings:
        """The place goes to the next in line; this person keeps waiting, behind it."""
        self.offer_lapses_at, self.waitlisted_at = None, scene.now
        if self.current is not None:
            self._give_place_back(self.current, scene)
        return [self._event(catalogue.ESCALATED, scene.now, reason=Alert.OFFER_LAPSED)]

    def _alert(self, alert: Alert, scene: Scene, *, missed: bool = False) -> Happenings:
        self.alerts |= {alert}
        if missed:
            return self._missed(alert, scene)
        return [self._event(catalogue.ESCALATED, scene.now, reason=alert)]

    def _missed(self, alert: Alert, scene: Scene) -> Happenings:
        return [
            self._event(catalogue.DEADLINE_MISSED, scene.now, reason=alert),
            self._event(catalogue.ESCALATED, scene.now, reason=alert),
        ]

    def count_again(self, scene: Scene) -> Happenings:
        """The calendar changed: deadlines that are still ahead move; the event keeps the old ones."""
        ack_due, contact_due = self._counted(scene.calendar)
        if (ack_due, contact_due) == (self.ack_due, self.contact_due):
            return []
        old: dict[str, Any] = {"old_ack_due": self.ack_due, "old_contact_due": self.contact_due}
        self.ack_due, self.contact_due = ack_due, contact_due
        if self.current is not None and self.current.is_unanswered:
            self.current.ack_due = ack_due
        return [self._event(catalogue.DEADLINES_CHANGED, scene.now, reason=CALENDAR_CHANGED, **old)]

    def _counted(self, calendar: Calendar) -> tuple[datetime, datetime]:
        """Both deadlines by this calendar; one that nobody waits for any more stays as it was."""
        ack_due, contact_due = self.ack_due, self.contact_due
        clocks = self.timers(calendar)
        if Clock.CONTACT_DUE in clocks:
            contact_due = deadlines_of(self.urgency, self.received_at, self.hard_deadline, calendar).contact_due
        if Clock.ACK_DUE in clocks and self.due_from is not None:
            begins = self.due_from
            ack_due = attempt_ack_due(self.urgency, begins, begins, contact_due, self.hard_deadline, calendar)
        return ack_due, contact_due

    # --- reading

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def current(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def awaits_answer(self) -> bool:
        """A human, while proposed, or the agency has until `ack_due`."""
        if self.state is ReferralState.PROPOSED:
            return True
        return self.is_open and self.current is not None and self.current.is_unanswered

    @property
    def holder(self) -> Attempt | None:
        """The attempt whose agency is asked now."""
        return self.current if self.current and self.current.is_live else None

    def was_asked(self, partner_id: str) -> bool:
        return any(attempt.partner_id == partner_id for attempt in self.attempts)

    # --- parts of the moves

    def _give_up(self, move: Move, partner_id: str, reason: DeclineReason, actor: str, scene: Scene) -> Happenings:
        if self._repeats(move, partner_id, reason):
            return []
        attempt = self._live_attempt(move, partner_id)
        target = check(move, self.state)
        if self._is_last(attempt):
            raise LastInChain(move, self.state)
        self._remember(move, partner_id, reason)
        self._end(attempt, AttemptState.DECLINED, reason, scene)
        declined = self._event(catalogue.DECLINED, scene.now, actor, reason=reason)
        self.state = target
        return [declined, *self._ask_next(actor, scene, left=partner_id, reason=reason)]

    def _ask_next(self, actor: str, scene: Scene, *, left: str | None = None, reason: str | None = None) -> Happenings:
        """The next untried agency of the chain, tested anew.  left: the agency it is taken from."""
        choice = self._choose(scene)
        self.explanation = self.explanation | {"partner_chain": explained_chain(choice.candidates)}
        if choice.chosen is None:
            return self._hold_for_consent(reason, scene)
        self._set_language_gap(choice.chosen, scene)
        gap = self._gap(choice, scene)
        return gap + self._send(choice.chosen, actor, scene, waitlisted=choice.waitlisted, left=left, reason=reason)

    def _choose(self, scene: Scene) -> Choice:
        tried = {attempt.partner_id for attempt in self.attempts}
        untried = [link for link in self.links if link.partner_id not in tried or link is self.links[-1]]
        days = (scene.calendar.local_date(scene.now), scene.calendar.local_date(self._due(scene)))
        ask = self.mandate.ask(self.case.consent, self.urgency, days, scene.directory)
        return choose(untried, ask, scene.directory, scene.places)

    def _check_not_last(self, scene: Scene) -> None:
        """Raises LastInChain when nobody but the cell that already has it is left."""
        if self._is_last(self.current):
            chosen = self._choose(scene).chosen
            if chosen is None or chosen is self.links[-1]:
                raise LastInChain(Move.REROUTE, self.state)

    def _possible(self, partner_id: str, scene: Scene) -> Link:
        """The agency a human names; consent, agreement and duty still decide.  Raises PartnerNotPossible."""
        partner = scene.directory.partners.get(partner_id)
        link = next((link for link in self.links if link.partner_id == partner_id), Link(partner_id, self.need_code))
        today = scene.calendar.local_date(scene.now)
        if partner is None or not partner.is_active(today) or not partner.serves(link.serves):
            raise PartnerNotPossible(Move.REROUTE, self.state, "not_in_directory")
        if self.holder is not None and self.holder.partner_id == partner_id:
            raise PartnerNotPossible(Move.REROUTE, self.state, "already_asked")
        ask = self.mandate.ask(self.case.consent, self.urgency, (today, today), scene.directory)
        failed = [why for why in failures_of(link, partner, ask, scene.places) if why not in (Why.FULL, Why.CLOSED)]
        if failed:
            raise PartnerNotPossible(Move.REROUTE, self.state, failed[0])
        return link

    def _hold_for_consent(self, reason: str | None, scene: Scene) -> Happenings:
        self.state, self.hold_reason = ReferralState.PROPOSED, HoldReason.CONSENT
        self.alerts -= {Alert.ACK_DUE}
        self.due_from = self._counts_from(scene.now)
        self.ack_due = self._due(scene)
        return [self._event(catalogue.CONSENT_NEEDED, scene.now, reason=reason)]

    def _gap(self, choice: Choice, scene: Scene) -> Happenings:
        gap = Gap.OUT_OF_AREA if self.mandate.redirect and choice.gap else choice.gap
        return [] if gap is None else [self._event(catalogue.GAP_RECORDED, scene.now, reason=gap)]

    def _send(
        self,
        link: Link,
        actor: str,
        scene: Scene,
        *,
        waitlisted: bool = False,
        left: str | None = None,
        reason: str | None = None,
    ) -> Happenings:
        """Ask an agency.  left: the agency it is taken from.  waitlisted: it is full and keeps a list."""
        attempt = self._open_attempt(link, scene)
        happened = []
        if left is not None:
            happened.append(self._event(catalogue.REROUTED, scene.now, actor, reason=reason, from_partner_id=left))
        sent = self._event(catalogue.SENT, scene.now, actor)
        attempt.sent_sequence = sent.sequence
        happened.append(sent)
        if waitlisted:
            self.state, self.waitlisted_at = ReferralState.WAITLISTED, scene.now
            happened.append(self._event(catalogue.WAITLISTED, scene.now, actor))
        return happened

    def _open_attempt(self, link: Link, scene: Scene) -> Attempt:
        attempt = Attempt(
            attempt_no=len(self.attempts) + 1,
            partner_id=link.partner_id,
            partner_type=scene.directory.partners[link.partner_id].type,
            serves=link.serves,
            sent_at=scene.now,
            ack_due=self._due(scene),
        )
        self._take_place(attempt, scene)
        self.attempts.append(attempt)
        self.due_from = self._counts_from(scene.now)
        self.sent_at, self.ack_due = attempt.sent_at, attempt.ack_due
        self.hold_reason = self.offer_lapses_at = None
        if self.state is not ReferralState.OUT_OF_AREA:
            self.state = ReferralState.SENT
        return attempt

    def _counts_from(self, now: datetime) -> datetime:
        """The instant from which an answer asked for now is due."""
        return self.received_at if now - self.received_at <= FROM_RECEIPT else now

    def _due(self, scene: Scene) -> datetime:
        """When whoever is asked now must have answered."""
        return attempt_ack_due(
            self.urgency, self.received_at, scene.now, self.contact_due, self.hard_deadline, scene.calendar
        )

    def _recall(self, reason: str, actor: str, scene: Scene) -> Happenings:
        attempt = self.holder
        if attempt is None:
            return []
        self._end(attempt, AttemptState.RECALLED, reason, scene)
        return [self._event(catalogue.RECALLED, scene.now, actor, reason=reason)]

    def _end(self, attempt: Attempt, state: AttemptState, reason: str | None, scene: Scene) -> None:
        attempt.state, attempt.reason_code = state, reason
        if state is AttemptState.DECLINED:
            attempt.answered_at = attempt.answered_at or scene.now
        self._give_place_back(attempt, scene)

    def _take_place(self, attempt: Attempt, scene: Scene) -> bool:
        """Count one of the agency's published places, once; False where none is counted or free."""
        if attempt.place_taken_at is None and scene.places.take(attempt.link):
            attempt.place_taken_at = scene.now
            return True
        return False

    def _give_place_back(self, attempt: Attempt, scene: Scene) -> None:
        if attempt.place_taken_at is not None:
            scene.places.give_back(attempt.link, attempt.place_taken_at)
            attempt.place_taken_at = None

    def _closed(self, outcome: Outcome, actor: str, now: datetime) -> Happenings:
        self.outcome_code = outcome
        if outcome in (Outcome.RECEIVED, Outcome.PARTIAL):
            self.contacted_at = self.contacted_at or now
        return [self._event(catalogue.CLOSED, now, actor)]

    def _acknowledged(self, attempt: Attempt, actor: str, now: datetime) -> Happening:
        attempt.state, attempt.answered_at = AttemptState.ACKNOWLEDGED, now
        return self._event(catalogue.ACKNOWLEDGED, now, actor)

    @property
    def _is_taken(self) -> bool:
        return self.current is not None and self.current.state is AttemptState.ACCEPTED

    def _is_last(self, attempt: Attempt | None) -> bool:
        return attempt is not None and attempt.partner_type is PartnerType.COORD

    def _live_attempt(self, move: Move, partner_id: str) -> Attempt:
        """The attempt of the agency that moves, if it is the one asked now."""
        attempt = self._attempts_of(move, partner_id)[-1]
        if attempt is not self.current or not attempt.is_live:
            raise AttemptEnded(move, self.state)
        return attempt

    def _attempts_of(self, move: Move, partner_id: str) -> Sequence[Attempt]:
        found = [attempt for attempt in self.attempts if attempt.partner_id == partner_id]
        if not found:
            raise AttemptEnded(move, self.state)
        return found

    def _set_language_gap(self, link: Link, scene: Scene) -> None:
        gap = has_language_gap(frozenset(self.case.languages), link.partner_id, scene.directory)
        others = tuple(flag for flag in self.flags if flag != ReferralFlag.LANGUAGE_GAP)
        self.flags = (*others, ReferralFlag.LANGUAGE_GAP) if gap else others

    def _repeats(self, *move: str) -> bool:
        return self.last_move == tuple(str(part) for part in move)

    def _remember(self, *move: str) -> None:
        self.last_move = tuple(str(part) for part in move)

    def _event(
        self,
        kind: EventType,
        now: datetime,
        actor: str = SYSTEM,
        *,
        attempt: Attempt | None = None,
        reason: str | None = None,
        **extra: Any,
    ) -> Happening:
        """An event that shows the referral as it stands now.  attempt: the one it is about, else the current."""
        self.sequence += 1
        about = attempt or self.current
        if reason is not None:
            extra["reason_code"] = reason
        payload = _payload_of(kind)(
            referral_id=self.referral_id,
            case_id=self.case.case_id,
            case_ref=self.case.case_ref,
            need_id=self.need_id,
            need_code=self.need_code,
            urgency=self.urgency,
            state=self.state,
            hold_reason=self.hold_reason,
            partner_id=about.partner_id if about else None,
            partner_type=about.partner_type if about else None,
            attempt_no=about.attempt_no if about else 0,
            rule_id=self.rule_id,
            row=self.row,
            rule_set_version=self.rule_set_version,
            flags=list(self.flags),
            language_tags=list(self.case.languages),
            interpreter_needed=self.case.interpreter_needed,
            received_at=self.received_at,
            sent_at=self.sent_at,
            ack_due=self.ack_due,
            contact_due=self.contact_due,
            hard_deadline=self.hard_deadline,
            contacted_at=self.contacted_at,
            outcome_code=self.outcome_code,
            actor=actor,
            at=now,
            **extra,
        )
        return Happening(kind, payload, self.sequence)


def _payload_of(kind: EventType) -> type[ReferralEvent]:
    if not issubclass(kind.payload, ReferralEvent):
        raise TypeError(f"{kind.type} is not an event of the lifecycle topic")
    return kind.payload


def _explanation(routed: Routed) -> dict[str, Any]:
    """What a referral keeps of why it went where it went."""
    return {
        "added_by": routed.need.added_by,
        "urgency_default": str(routed.urgency_default),
        "requires_confirmation": routed.requires_confirmation,
        "offers": list(routed.offers),
        "notify": {"person": routed.notify.person, "partner": routed.notify.partner},
        "partner_chain": explained_chain(routed.choice.candidates),
    }
