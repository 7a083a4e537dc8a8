"""What an agency answers; only the one that is asked now is heard.

A repetition of the last move makes no event.
"""

from datetime import datetime

from ihala_events import catalogue
from ihala_events.vocabulary import AttemptState, DeclineReason, Outcome, PersonMessage, ReferralState, Urgency

from ihala_referral.domain.attempt import Attempt, Happening, Happenings, Scene
from ihala_referral.domain.deadlines import offer_lapses_at
from ihala_referral.domain.errors import LastInChain, TooUrgentToWait, TransitionRefused
from ihala_referral.domain.referral.asking import Asking
from ihala_referral.domain.transitions import Move, check


class AgencyMoves(Asking):
    __slots__ = ()

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

    def _acknowledged(self, attempt: Attempt, actor: str, now: datetime) -> Happening:
        attempt.state, attempt.answered_at = AttemptState.ACKNOWLEDGED, now
        return self._event(catalogue.ACKNOWLEDGED, now, actor)

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

    def _give_up(self, move: Move, partner_id: str, reason: DeclineReason, actor: str, scene: Scene) -> Happenings:
        if self._repeats(move, partner_id, reason):
            return []
        attempt = self._live_attempt(move, partner_id)
        target = check(move, self.state)
        if self._is_last(attempt):
            raise LastInChain(move, self.state)
        self._remember(move, partner_id, reason)
        recalled = self._recall_handover(reason, actor, scene)
        self._end(attempt, AttemptState.DECLINED, reason, scene)
        declined = self._event(catalogue.DECLINED, scene.now, actor, reason=reason)
        self.state = target
        return [*recalled, declined, *self._ask_next(actor, scene, left=partner_id, reason=reason)]

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
        return [self._event(catalogue.WAITLISTED, scene.now, actor, tell=PersonMessage.NEWS)]

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
        return [self._event(catalogue.PLACE_OFFERED, scene.now, actor, tell=PersonMessage.NEWS)]

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
        return self._closed(outcome, actor, scene)

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
