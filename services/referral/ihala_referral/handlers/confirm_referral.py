"""A human agrees to the proposal; in some cases not whoever recorded it."""

from ihala_events.intake import staff_digest
from ihala_events.referral import ConfirmBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def confirm_referral(referral: Referral, by: Mover, body: ConfirmBody, scene: Scene) -> Happenings:
    staff = staff_digest(referral.case.case_id, body.staff)
    return referral.confirm(staff, by.actor, scene)
