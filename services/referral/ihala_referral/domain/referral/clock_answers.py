"""What time does: which timers run, and what each finds when it is due.

A timer is a question: a state that moved on gives nothing.  `contact_due` never moves but for a corrected calendar.
"""

from datetime import datetime
from typing import Any

from ihala_events import catalogue
from ihala_events.vocabulary import AttemptState, HoldReason, PersonMessage, ReferralState

from ihala_referral.domain.attempt import Alert, Attempt, Clock, Happenings, Scene
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.deadlines import (
    attempt_ack_due,
    deadlines_of,
    offer_lapses_at,
    reminder_at,
)
from ihala_referral.domain.referral.handovers import Handovers
from ihala_referral.domain.referral.record import SYSTEM
from ihala_referral.domain.transitions import Move, check

CALENDAR_CHANGED = "CALENDAR_CHANGED"


class ClockAnswers(Handovers):
    __slots__ = ()

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
        if self.handover is not None:
            due[Clock.HANDOVER] = self.handover.ack_due
        return due

    def _hold_timers(self) -> dict[Clock, datetime]:
        """A human must have acted by `ack_due`, and is reminded of it once."""
        held = self.hold_reason is HoldReason.DUPLICATE
        clock, alert = (Clock.HOLD, Alert.DUPLICATE_UNDECIDED) if held else (Clock.ACK_DUE, Alert.ACK_DUE)
        return {} if alert in self.alerts else {clock: self.ack_due}

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
            case Clock.HANDOVER:
                return self._handover_unanswered(scene)

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

    def offer_freed_place(self, scene: Scene) -> Happenings:
        """A place that the agency counts became free, and this person is the next in line."""
        attempt = self.holder
        if attempt is None or self.state is not ReferralState.WAITLISTED or self.offer_lapses_at is not None:
            return []
        agency, today = scene.directory.partners.get(attempt.partner_id), scene.calendar.local_date(scene.now)
        if agency is not None and agency.closed_throughout(today, today):
            return []  # the offer would lapse behind closed doors; the place is kept for the list
        if not self._take_place(attempt, scene):
            return []
        self.offer_lapses_at = offer_lapses_at(scene.now, scene.calendar)
        return [self._event(catalogue.PLACE_OFFERED, scene.now, tell=PersonMessage.NEWS)]

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
        return self._count_own_again(scene) + self._count_handover_again(scene)

    def _count_own_again(self, scene: Scene) -> Happenings:
        ack_due, contact_due = self._counted(scene.calendar)
        if (ack_due, contact_due) == (self.ack_due, self.contact_due):
            return []
        old: dict[str, Any] = {"old_ack_due": self.ack_due, "old_contact_due": self.contact_due}
        self.ack_due, self.contact_due = ack_due, contact_due
        if self.current is not None and self.current.is_unanswered:
            self.current.ack_due = ack_due
        return [self._event(catalogue.DEADLINES_CHANGED, scene.now, reason=CALENDAR_CHANGED, **old)]

    def _count_handover_again(self, scene: Scene) -> Happenings:
        proposed = self.handover
        if proposed is None:
            return []
        old, proposed.ack_due = proposed.ack_due, self._handover_due(proposed.sent_at, scene.calendar)
        if old == proposed.ack_due:
            return []
        before: dict[str, Any] = {"old_ack_due": old, "old_contact_due": self.contact_due}
        return [
            self._event(catalogue.DEADLINES_CHANGED, scene.now, attempt=proposed, reason=CALENDAR_CHANGED, **before)
        ]

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
