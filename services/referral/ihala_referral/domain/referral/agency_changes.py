"""What happens to the referral because something happened to the agency that holds it, or is asked to take it over.

The next agency is asked at once; the contact clock goes on.  A handover to an agency that is gone has failed.
"""

from ihala_referral.domain.attempt import Alert, Attempt, Happenings, Scene
from ihala_referral.domain.directory import Partner
from ihala_referral.domain.referral.handovers import Handovers
from ihala_referral.domain.referral.record import SYSTEM
from ihala_referral.domain.transitions import TRANSITIONS, Move, check

AGENCY_STOPPED, AGENCY_LEFT = "AGENCY_STOPPED", "AGENCY_LEFT"
LEAVES = {Move.AGENCY_STOPPED: AGENCY_STOPPED, Move.AGENCY_LEFT: AGENCY_LEFT}


class AgencyChanges(Handovers):
    __slots__ = ()

    def leave_agency(self, scene: Scene) -> Happenings:
        """The agency asked now was stopped, or its time in the directory ended before it took the case."""
        attempt = self.holder
        move = None if attempt is None else self._must_leave(attempt, scene)
        if attempt is None or move is None:
            return self._leave_handover(scene)
        target, reason = check(move, self.state), LEAVES[move]
        recalled = self._recall(reason, SYSTEM, scene)
        self.state = target
        return recalled + self._ask_next(SYSTEM, scene, left=attempt.partner_id, reason=reason)

    def _must_leave(self, attempt: Attempt, scene: Scene) -> Move | None:
        agency = scene.directory.partners.get(attempt.partner_id)
        if agency is None or not self.is_open:
            return None
        gone = _gone(agency, scene)
        if gone is Move.AGENCY_LEFT and self.state not in TRANSITIONS[Move.AGENCY_LEFT]:
            return None
        return gone

    def _leave_handover(self, scene: Scene) -> Happenings:
        """Whoever was asked to take the person over is gone; the agency that proposed it stays responsible."""
        asked = self.handover
        agency = None if asked is None else scene.directory.partners.get(asked.partner_id)
        gone = None if agency is None else _gone(agency, scene)
        if asked is None or gone is None or not self.is_open:
            return []
        recalled = self._recall_handover(LEAVES[gone], SYSTEM, scene)
        return recalled + self._handover_failed(asked, SYSTEM, LEAVES[gone], Alert.HANDOVER_UNANSWERED, scene)


def _gone(agency: Partner, scene: Scene) -> Move | None:
    if agency.stopped:
        return Move.AGENCY_STOPPED
    return Move.AGENCY_LEFT if agency.active[1] < scene.calendar.local_date(scene.now) else None
