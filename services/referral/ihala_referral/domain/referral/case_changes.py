"""What happens to the referral because something happened to the case.

A withdrawal asks every agency that was asked to delete what it read, also of a referral that is closed.
"""

from ihala_events import catalogue
from ihala_events.vocabulary import Channel, HoldReason, PersonMessage, ReferralState

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral.asking import Asking
from ihala_referral.domain.referral.record import SYSTEM
from ihala_referral.domain.transitions import Move, check

SAME_PERSON = "DUPLICATE"
CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
ERASED = "ERASED"
UNTOLD = frozenset({SAME_PERSON, ERASED})
"""Reasons of which the person is told nothing: their other case goes on, or nobody knows them any more."""


class CaseChanges(Asking):
    __slots__ = ()

    def release(self, scene: Scene) -> Happenings:
        """A human found the suspected duplicate to be another person."""
        if self.hold_reason is not HoldReason.DUPLICATE:
            return []
        check(Move.RELEASE, self.state)
        if self.requires_confirmation:
            self.hold_reason = HoldReason.CONFIRMATION
            self.due_from, self.ack_due = self._counts_from(scene.now), self._due(scene)
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
        self._explain(choice, scene)
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
            happened.append(self._event(catalogue.WITHDRAWN, scene.now, reason=reason, tell=self._told_of(reason)))
        return happened + self._request_deletions(scene)

    def _told_of(self, reason: str) -> PersonMessage | None:
        """A referral that no agency was asked for is nothing to the person either."""
        return PersonMessage.WITHDRAWN if self.attempts and reason not in UNTOLD else None

    def _request_deletions(self, scene: Scene) -> Happenings:
        last_of = {attempt.partner_id: attempt for attempt in self.attempts if attempt.deletion is None}
        for attempt in last_of.values():
            attempt.deletion = "requested"
        return [self._event(catalogue.DELETION_REQUESTED, scene.now, attempt=attempt) for attempt in last_of.values()]

    def request_correction(self, channel: Channel | None, phone_shared: bool | None, scene: Scene) -> Happenings:
        """The person's data changed: every agency that still works with them reads them again.

        channel, phone_shared: as they read now; None where they did not change."""
        if not self.is_open:
            return []
        if channel is not None:
            notify = self.mandate.notify(self.need_code, channel, phone_shared=bool(phone_shared))
            self.explanation = self.explanation | {"notify": notify._asdict()}
        attempt = self.holder
        if attempt is None:
            return []
        self._set_flags(attempt.link, scene)
        attempt.correction = "requested"
        return [self._event(catalogue.CORRECTION_REQUESTED, scene.now)]

    def blank(self) -> None:
        """The person is erased: ids, need, states and times stay, why it went where it went does not."""
        self.explanation, self.flags = {}, ()
