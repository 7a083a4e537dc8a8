"""What is kept of a referral, and what can be read from it; every change makes one event that shows it.

Only the rooms beside this one set a field.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from ihala_events.catalogue import EventType
from ihala_events.referral import PersonNotice, ReferralEvent
from ihala_events.vocabulary import AttemptState, Channel, HoldReason, Outcome, PersonMessage, ReferralState, Urgency

from ihala_referral.domain.attempt import Attempt, CaseFile, Happening
from ihala_referral.domain.directory import Link
from ihala_referral.domain.household import Leg
from ihala_referral.domain.routing import Mandate
from ihala_referral.domain.transitions import OPEN

SYSTEM = "system"


@dataclass(slots=True)
class ReferralRecord:
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

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def current(self) -> Attempt | None:
        """The last attempt of an agency that was responsible, if only for an answer."""
        for each in reversed(self.attempts):
            if each.responsible:
                return each
        return None

    @property
    def handover(self) -> Attempt | None:
        """The attempt of the agency that is asked to take the person over, beside the current one."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.state is AttemptState.HANDOVER else None

    @property
    def awaits_answer(self) -> bool:
        """A human, while proposed, or the agency has until `ack_due`."""
        if self.state is ReferralState.PROPOSED:
            return True
        attempt = self.current
        return self.is_open and attempt is not None and attempt.is_unanswered

    @property
    def holder(self) -> Attempt | None:
        """The attempt whose agency is asked now."""
        attempt = self.current
        return attempt if attempt is not None and attempt.is_live else None

    @property
    def leg(self) -> Leg:
        """What the rest of the household has to know of it."""
        holder = self.holder if self.is_open else None
        return Leg(self.case.case_id, self.need_code, holder.partner_id if holder else None)

    def was_asked(self, partner_id: str) -> bool:
        return any(attempt.partner_id == partner_id for attempt in self.attempts)

    @property
    def _is_taken(self) -> bool:
        return self.current is not None and self.current.state is AttemptState.ACCEPTED

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
        tell: PersonMessage | None = None,
        **extra: Any,
    ) -> Happening:
        """An event that shows the referral as it stands now.  attempt: the one it is about, else the current.
        tell: what the person is to be told of it, if they may be told anything."""
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
            ack_due=self.ack_due if about is None or about.responsible else about.ack_due,
            contact_due=self.contact_due,
            hard_deadline=self.hard_deadline,
            contacted_at=self.contacted_at,
            outcome_code=self.outcome_code,
            notify_person=self._notice(tell),
            actor=actor,
            at=now,
            **extra,
        )
        return Happening(kind, payload, self.sequence)

    def _notice(self, message: PersonMessage | None) -> PersonNotice | None:
        """None also for whoever may be told nothing: routing and each correction of the contact decide."""
        way = self.explanation.get("notify", {}).get("person", "none")
        if message is None or way == "none":
            return None
        return PersonNotice(message=message, channel=Channel(way.upper()), desk_id=self.case.desk_id)


def _payload_of(kind: EventType) -> type[ReferralEvent]:
    if not issubclass(kind.payload, ReferralEvent):
        raise TypeError(f"{kind.type} is not an event of the lifecycle topic")
    return kind.payload
