"""What happens to the referral because something happened to the agency that holds it.

The next agency is asked at once; the contact clock goes on.
"""

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral.asking import Asking
from ihala_referral.domain.referral.record import SYSTEM
from ihala_referral.domain.transitions import Move, check

AGENCY_STOPPED = "AGENCY_STOPPED"


class AgencyChanges(Asking):
    __slots__ = ()

    def leave_stopped_agency(self, scene: Scene) -> Happenings:
        """The agency asked now may not go on: it is recalled, whatever it had begun."""
        attempt = self.holder
        if attempt is None or not self.is_open or not scene.directory.is_stopped(attempt.partner_id):
            return []
        target = check(Move.AGENCY_STOPPED, self.state)
        recalled = self._recall(AGENCY_STOPPED, SYSTEM, scene)
        self.state = target
        return recalled + self._ask_next(SYSTEM, scene, left=attempt.partner_id, reason=AGENCY_STOPPED)
