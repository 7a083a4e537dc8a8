"""What happens to the referral because something happened to the agency that holds it.

The next agency is asked at once; the contact clock goes on.
"""

from ihala_referral.domain.attempt import Attempt, Happenings, Scene
from ihala_referral.domain.referral.asking import Asking
from ihala_referral.domain.referral.record import SYSTEM
from ihala_referral.domain.transitions import TRANSITIONS, Move, check

AGENCY_STOPPED, AGENCY_LEFT = "AGENCY_STOPPED", "AGENCY_LEFT"
LEAVES = {Move.AGENCY_STOPPED: AGENCY_STOPPED, Move.AGENCY_LEFT: AGENCY_LEFT}


class AgencyChanges(Asking):
    __slots__ = ()

    def leave_agency(self, scene: Scene) -> Happenings:
        """The agency asked now was stopped, or its time in the directory ended before it took the case."""
        attempt = self.holder
        move = None if attempt is None else self._must_leave(attempt, scene)
        if attempt is None or move is None:
            return []
        target, reason = check(move, self.state), LEAVES[move]
        recalled = self._recall(reason, SYSTEM, scene)
        self.state = target
        return recalled + self._ask_next(SYSTEM, scene, left=attempt.partner_id, reason=reason)

    def _must_leave(self, attempt: Attempt, scene: Scene) -> Move | None:
        agency = scene.directory.partners.get(attempt.partner_id)
        if agency is None or not self.is_open:
            return None
        if agency.stopped:
            return Move.AGENCY_STOPPED
        left = agency.active[1] < scene.calendar.local_date(scene.now)
        return Move.AGENCY_LEFT if left and self.state in TRANSITIONS[Move.AGENCY_LEFT] else None
