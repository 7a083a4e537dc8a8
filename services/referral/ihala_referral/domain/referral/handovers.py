"""A warm handover: the responsible agency asks another to take the person over, and both sides confirm.

Until the other agency has taken over, and for ever where it does not, the one that proposed it stays responsible;
`contact_due` never moves.  What both sides do is one attempt each, so either can look it up later.
"""

from datetime import datetime

from ihala_events import catalogue
from ihala_events.vocabulary import AttemptState, DeclineReason

from ihala_referral.domain.attempt import Alert, Attempt, Happenings, Scene
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.deadlines import deadlines_of
from ihala_referral.domain.directory import Link
from ihala_referral.domain.errors import AttemptEnded, HandoverPending, NoHandover
from ihala_referral.domain.referral.asking import Asking
from ihala_referral.domain.referral.record import SYSTEM
from ihala_referral.domain.transitions import Move, check

TAKEN_BACK = "TAKEN_BACK"


class Handovers(Asking):
    __slots__ = ()

    def propose_handover(self, partner_id: str, to: str, actor: str, scene: Scene) -> Happenings:
        """to: the agency that is asked to take the person over; it must pass the tests of a choice."""
        if self._repeats(Move.HANDOVER, partner_id, to):
            return []
        self._live_attempt(Move.HANDOVER, partner_id)
        check(Move.HANDOVER, self.state)
        if self.handover is not None:
            raise HandoverPending(Move.HANDOVER, self.state)
        link = self._possible(Move.HANDOVER, to, scene)
        self._remember(Move.HANDOVER, partner_id, to)
        proposed = self._ask_to_take_over(link, scene)
        event = self._handover_event(catalogue.HANDOVER_PROPOSED, proposed, proposed, actor, scene)
        proposed.sent_sequence = event.sequence
        return [event]

    def _ask_to_take_over(self, link: Link, scene: Scene) -> Attempt:
        proposed = Attempt(
            attempt_no=len(self.attempts) + 1,
            partner_id=link.partner_id,
            partner_type=scene.directory.partners[link.partner_id].type,
            serves=link.serves,
            sent_at=scene.now,
            ack_due=self._handover_due(scene.now, scene.calendar),
            state=AttemptState.HANDOVER,
            responsible=False,
        )
        self._take_place(proposed, scene)
        self.attempts.append(proposed)
        return proposed

    def _handover_due(self, begins: datetime, calendar: Calendar) -> datetime:
        """The whole window of an answer; `contact_due` still binds the agency that proposed it."""
        return deadlines_of(self.urgency, begins, self.hard_deadline, calendar).ack_due

    def take_back_handover(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        if self._repeats(Move.HANDOVER_WITHDRAWAL, partner_id):
            return []
        self._live_attempt(Move.HANDOVER_WITHDRAWAL, partner_id)
        check(Move.HANDOVER_WITHDRAWAL, self.state)
        if self.handover is None:
            raise NoHandover(Move.HANDOVER_WITHDRAWAL, self.state)
        self._remember(Move.HANDOVER_WITHDRAWAL, partner_id)
        return self._recall_handover(TAKEN_BACK, actor, scene)

    def accept_handover(self, partner_id: str, actor: str, scene: Scene) -> Happenings:
        """The other agency is responsible from now on, and the one that proposed it no longer."""
        if self._repeats(Move.HANDOVER_ACCEPTANCE, partner_id):
            return []
        taken = self._proposed_to(Move.HANDOVER_ACCEPTANCE, partner_id)
        target = check(Move.HANDOVER_ACCEPTANCE, self.state)
        link, giver = self._possible(Move.HANDOVER_ACCEPTANCE, partner_id, scene), self._giver(taken)
        self._remember(Move.HANDOVER_ACCEPTANCE, partner_id)
        self._end(giver, AttemptState.HANDED_OVER, None, scene)
        taken.state, taken.answered_at, taken.responsible = AttemptState.ACCEPTED, scene.now, True
        self.state = target
        self._set_flags(link, scene)
        return [
            self._handover_event(catalogue.HANDED_OVER, giver, taken, actor, scene),
            self._handover_event(catalogue.HANDOVER_ACCEPTED, taken, taken, actor, scene),
        ]

    def refuse_handover(self, partner_id: str, reason: DeclineReason, actor: str, scene: Scene) -> Happenings:
        if self._repeats(Move.HANDOVER_REFUSAL, partner_id, reason):
            return []
        refused = self._proposed_to(Move.HANDOVER_REFUSAL, partner_id)
        check(Move.HANDOVER_REFUSAL, self.state)
        self._remember(Move.HANDOVER_REFUSAL, partner_id, reason)
        self._end(refused, AttemptState.DECLINED, reason, scene)
        return self._handover_failed(refused, actor, reason, Alert.HANDOVER_REFUSED, scene)

    def _handover_unanswered(self, scene: Scene) -> Happenings:
        silent = self.handover
        if silent is None:
            return []
        why = Alert.HANDOVER_UNANSWERED
        happened = self._recall_handover(why, SYSTEM, scene, AttemptState.SILENT)
        return happened + self._handover_failed(silent, SYSTEM, why, why, scene)

    def _handover_failed(self, failed: Attempt, actor: str, reason: str, alert: Alert, scene: Scene) -> Happenings:
        """The agency that proposed it is told, and a human looks."""
        giver = self._giver(failed)
        return [
            self._handover_event(catalogue.HANDOVER_FAILED, giver, failed, actor, scene, reason),
            self._event(catalogue.ESCALATED, scene.now, reason=alert),
        ]

    def _proposed_to(self, move: Move, partner_id: str) -> Attempt:
        """The handover that waits for this agency's answer."""
        attempt = self._attempts_of(move, partner_id)[-1]
        if attempt is not self.handover:
            raise AttemptEnded(move, self.state) if not attempt.is_live else NoHandover(move, self.state)
        return attempt
