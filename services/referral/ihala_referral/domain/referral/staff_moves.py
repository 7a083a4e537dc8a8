"""What the desk, protection and the operator decide.

A human may name an agency, but consent, agreement and duty still decide.
"""

from ihala_events import catalogue
from ihala_events.vocabulary import DeclineReason, HoldReason, Outcome, ReferralState

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.errors import LastInChain, SameStaff, TransitionRefused
from ihala_referral.domain.referral.asking import Asking
from ihala_referral.domain.transitions import Move, check


class StaffMoves(Asking):
    __slots__ = ()

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

    def close_by_desk(self, outcome: Outcome, actor: str, scene: Scene) -> Happenings:
        """Any open referral; an agency that has not taken it yet is recalled."""
        if self._repeats(Move.CLOSE_BY_DESK, outcome):
            return []
        target = check(Move.CLOSE_BY_DESK, self.state)
        self._remember(Move.CLOSE_BY_DESK, outcome)
        happened = [] if self._is_taken else self._recall(outcome, actor, scene)
        self.state, self.hold_reason = target, None
        return happened + self._closed(outcome, actor, scene)

    def reroute(self, reason: DeclineReason, partner_id: str | None, actor: str, scene: Scene) -> Happenings:
        """The desk or the operator asks another agency: the one named, else the next of the chain."""
        if self._repeats(Move.REROUTE, reason, partner_id or ""):
            return []
        check(Move.REROUTE, self.state)
        if partner_id is None:
            self._check_not_last(scene)
        named = None if partner_id is None else self._possible(Move.REROUTE, partner_id, scene)
        left = self.current.partner_id if self.current else None
        self._remember(Move.REROUTE, reason, partner_id or "")
        happened = self._recall(reason, actor, scene)
        self.state = ReferralState.SENT
        if named is None:
            return happened + self._ask_next(actor, scene, left=left, reason=reason)
        self._set_flags(named, scene)
        return happened + self._send(named, actor, scene, left=left, reason=reason)

    def _check_not_last(self, scene: Scene) -> None:
        """Raises LastInChain when nobody but the cell that already has it is left."""
        if self._is_last(self.current):
            chosen = self._choose(scene).chosen
            if chosen is None or chosen is self.links[-1]:
                raise LastInChain(Move.REROUTE, self.state)
